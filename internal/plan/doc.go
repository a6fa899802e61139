// Package plan turns the JSON form of a saved plan into the facts that the rest of the controller works with: the
// digests of its changes, its id, a summary, and a text without secrets.
//
// The package is pure: no cluster, no clock, no files. Its one source of facts is the output of
// "tofu show -json PLANFILE" (or terraform's), decoded by Decode.
package plan
