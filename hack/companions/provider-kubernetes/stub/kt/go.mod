module sigs.k8s.io/kustomize/pkg/transformers
