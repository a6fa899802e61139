package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	maxRunNamePrefix = 40
	runSuffixDigits  = 8
)

// RunName is the name of the run with that sequence: the first 40 characters of the object's name and 8 hex digits of
// its UID and the sequence. Two controllers that begin the same run therefore make the same object.
func RunName(tf *infrav1.Terraform, sequence int64) string {
	prefix := tf.Name
	if len(prefix) > maxRunNamePrefix {
		prefix = strings.TrimRight(prefix[:maxRunNamePrefix], "-.")
	}
	return prefix + "-" + runSuffix(tf, sequence)
}

func runSuffix(tf *infrav1.Terraform, sequence int64) string {
	sum := sha256.Sum256([]byte(string(tf.UID) + "/" + strconv.FormatInt(sequence, 10)))
	return hex.EncodeToString(sum[:])[:runSuffixDigits]
}
