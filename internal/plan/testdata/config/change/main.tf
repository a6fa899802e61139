# After create: update, replace, destroy, forget, forget and create, move, move with update, import.
variable "password" {
  type      = string
  sensitive = true
  default   = "hunter2-secret"
}

variable "account" {
  sensitive = true
  default   = { pin = 654321, user = "carol" }
}

resource "terraform_data" "app" {
  input = {
    big      = 9007199254740992
    huge     = 1e30
    fraction = 0.25
    flag     = true
    greeting = "Grüße, 世界 👋"
    users    = [{ name = "carol", password = var.password }, { name = "dave", password = var.password }]
    empty    = ["no longer"]
    config   = <<-EOT
      listen: 9090
      tls: <on>
    EOT
  }
}

resource "terraform_data" "each" {
  for_each = toset(["a b"])
  input    = "${each.key}: ${terraform_data.app.id}"
}

resource "terraform_data" "hidden" {
  input            = var.account
  triggers_replace = [1, "two"]
}

removed {
  from = terraform_data.forgotten
  lifecycle { destroy = false }
}

resource "terraform_data" "renewed" {
  input            = "stays"
  triggers_replace = [2]
  lifecycle { destroy = false }
}

moved {
  from = terraform_data.old_name
  to   = terraform_data.new_name
}

resource "terraform_data" "new_name" {
  input = "moves"
}

moved {
  from = terraform_data.moving
  to   = terraform_data.moved_on
}

resource "terraform_data" "moved_on" {
  input = "after"
}

import {
  id = "an-id"
  to = terraform_data.imported
}

resource "terraform_data" "imported" {}

output "app" {
  value     = terraform_data.app.output
  sensitive = true
}

output "greeting" {
  value     = "hello"
  sensitive = true
}
