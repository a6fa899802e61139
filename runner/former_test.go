package runner

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestTakenBy_ALockOfTheIncumbentsRunner(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	former := &v1alpha2.FormerRunner{Hostname: "net-tf-runner", StartedAt: metav1.NewTime(noon), EndedAt: metav1.NewTime(noon.Add(time.Hour))}
	at := func(d time.Duration) string { return noon.Add(d).Format(time.RFC3339Nano) }
	for name, tc := range map[string]struct {
		reason        string
		former        *v1alpha2.FormerRunner
		host, created string
		want          bool
	}{
		"in its lifetime":      {"its process has ended, the lock is nobody's", former, "net-tf-runner", at(time.Minute), true},
		"in its last second":   {"the kubelet tells whole seconds", former, "net-tf-runner", at(time.Hour + 900*time.Millisecond), true},
		"before it began":      {"an earlier pod of that hostname may live on", former, "net-tf-runner", at(-time.Second), false},
		"after it had ended":   {"somebody else has that hostname", former, "net-tf-runner", at(time.Hour + time.Second), false},
		"of another host":      {"it is not its lock", former, "kims-desk", at(time.Minute), false},
		"at an unknown time":   {"what is not known is no proof", former, "net-tf-runner", "yesterday", false},
		"when nothing is left": {"nothing is known of any runner", nil, "net-tf-runner", at(time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			info := &v1alpha2.LockInfo{ID: "lock-1", Who: "root@" + tc.host, Created: tc.created}
			NewWithT(t).Expect(takenBy(tc.former, tc.host, info)).To(Equal(tc.want), tc.reason)
		})
	}
}
