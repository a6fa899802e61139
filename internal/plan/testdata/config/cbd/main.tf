# A replacement that creates first.
variable "n" {
  default = 1
}

resource "terraform_data" "both" {
  input            = "n is ${var.n}"
  triggers_replace = var.n

  lifecycle {
    create_before_destroy = true
  }
}
