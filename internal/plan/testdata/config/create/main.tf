# From nothing: unknown values, large and small numbers, unicode, a sensitive variable at every depth, a data source
# that can be read only during the apply.
variable "password" {
  type      = string
  sensitive = true
  default   = "hunter2-secret"
}

variable "account" {
  sensitive = true
  default   = { pin = 123456, user = "carol" }
}

resource "terraform_data" "app" {
  input = {
    big      = 9007199254740993
    huge     = 1e30
    fraction = 0.1
    flag     = true
    greeting = "Grüße, 世界 👋"
    users    = [{ name = "carol", password = var.password }]
    empty    = []
    config   = <<-EOT
      listen: 8080
      tls: <on>
    EOT
  }
}

resource "terraform_data" "each" {
  for_each = toset(["a b", "ü"])
  input    = "${each.key}: ${terraform_data.app.id}"
}

resource "terraform_data" "hidden" {
  input            = var.account
  triggers_replace = [1, "one"]
}

resource "terraform_data" "forgotten" {
  input = 1
  lifecycle { destroy = false }
}

resource "terraform_data" "renewed" {
  input            = "stays"
  triggers_replace = [1]
  lifecycle { destroy = false }
}

resource "terraform_data" "old_name" {
  input = "moves"
}

resource "terraform_data" "moving" {
  input = "before"
}

data "terraform_remote_state" "later" {
  backend = "local"
  config  = { path = terraform_data.app.id == "" ? "" : "remote.json" }
}

output "app" {
  value     = terraform_data.app.output
  sensitive = true
}

output "greeting" {
  value = "hello"
}

output "gone_soon" {
  value = [1, 2]
}
