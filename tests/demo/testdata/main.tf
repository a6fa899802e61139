terraform {
  required_providers {
    kubernetes = { source = "hashicorp/kubernetes" }
    random     = { source = "hashicorp/random" }
  }
}

provider "kubernetes" { load_config_file = false }

variable "namespace" {}

resource "random_pet" "name" {}

resource "kubernetes_config_map" "settings" {
  metadata {
    name      = "settings"
    namespace = var.namespace
  }
  data = {
    color = "green"
    name  = random_pet.name.id
  }
}

output "name" { value = random_pet.name.id }
