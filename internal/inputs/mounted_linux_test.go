package inputs_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// TestMounted_GivesUpWhatIsExchangedWheneverItIsRead: this folder of Linux is. Among the open files of a process that it lists is the
// listing itself, which is closed when the files are read.
func TestMounted_GivesUpWhatIsExchangedWheneverItIsRead(t *testing.T) {
	g := NewWithT(t)
	values, left, err := inputs.Mounted(&v1alpha2.RunnerPodSpec{}, "/proc/self/fdinfo")
	g.Expect(err).To(MatchError("read what is secret in /proc/self/fdinfo: /proc/self/fdinfo was exchanged 3 times while it was read"))
	g.Expect(append(values, left...)).To(BeEmpty(), "a part would pass for the whole")
}
