package lock

import (
	"testing"
	"unicode/utf8"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func checkInfo(t *testing.T, info *v1alpha2.LockInfo, texts ...string) {
	t.Helper()
	for _, text := range append(texts, info.Operation, info.Who, info.Created) {
		if utf8.RuneCountInString(text) > maxField || !utf8.ValidString(text) {
			t.Errorf("%q can't be in a status", text)
		}
	}
}

// FuzzFromText: whatever an engine prints, what is taken for a lock fits into a status.
func FuzzFromText(f *testing.F) {
	for _, text := range []string{
		"", "Error acquiring the state lock", "Error acquiring the state lock\nLock Info:\n  ID: 1\n  Who: a@b\n",
		"╷\n│ Error: Error acquiring the state lock\n│ Lock Info:\n│   ID:        5bb0\n│   Created:   2026-11-22 12:09:32 +0000 UTC\n╵\n",
		"Error acquiring the state lock\nLock Info:\nID: \xff\nWho: \x00\nWho: 2\nOperation:", "Lock Info:\nID: 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		info, found := FromText(text)
		if found != (info != nil) {
			t.Fatalf("found is %v, and the lock is %v", found, info)
		}
		if info != nil {
			checkInfo(t, info, info.ID)
		}
	})
}

// FuzzHolder: whatever somebody writes into a Lease, it is the lock that it names.
func FuzzHolder(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"id", ""}, {"id", `{"Operation":"OperationTypeApply","Who":"root@net-x","Created":"2026-11-22T12:09:32Z"}`}, {"id", "no JSON"},
		{"id", `{"Who":1}`}, {"id", `{"Who":"` + string([]byte{0xff}) + `"}`}, {"id", "null"}, {"id", `["a"]`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, id, written string) {
		info := holder(&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{InfoAnnotation: written}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To(id)},
		})
		if (info == nil) != (id == "") {
			t.Fatalf("the lock of %q is %v", id, info)
		}
		if info == nil {
			return
		}
		if info.ID != id {
			t.Errorf("the lock of %q has the ID %q", id, info.ID)
		}
		checkInfo(t, info)
	})
}
