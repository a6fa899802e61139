# Nothing but outputs.
output "name" {
  value = "value"
}

output "list" {
  value = ["a", { b = "c" }]
}
