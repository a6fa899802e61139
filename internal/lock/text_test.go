package lock_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/lock"
)

const heldText = `Error: Error acquiring the state lock

Error message: the state is already locked by another terraform client
Lock Info:
  ID:        bc939292-61d6-12df-5224-91a6d3f7a14d
  Path:      
  Operation: OperationTypeApply
  Who:       root@vm
  Version:   1.11.4
  Created:   2026-11-22 12:09:32.069139082 +0000 UTC
  Info:      


Terraform acquires a state lock to protect the state from being written
by multiple users at the same time. ID: nothing
`

const boxedText = `╷
│ Error: Error acquiring the state lock
│ 
│ Error message: ConditionalCheckFailedException
│ Lock Info:
│   ID:        5bb0
│   Path:      bucket/key
│   Operation: OperationTypePlan
│   Who:       a@b
│   Created:   2026-11-22 12:09:32 +0000 UTC
╵
`

func TestFromText_KnowsALockThatSomeoneElseHas(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       *v1alpha2.LockInfo
	}{
		{"held", heldText, &v1alpha2.LockInfo{ID: "bc939292-61d6-12df-5224-91a6d3f7a14d", Operation: "OperationTypeApply", Who: "root@vm",
			Created: "2026-11-22 12:09:32.069139082 +0000 UTC"}},
		{"held, another backend, in a box", boxedText, &v1alpha2.LockInfo{ID: "5bb0", Operation: "OperationTypePlan", Who: "a@b", Created: "2026-11-22 12:09:32 +0000 UTC"}},
		{"held, holder unknown", "Error acquiring the state lock\nError message: the state is already locked by another tofu client", &v1alpha2.LockInfo{}},
		{"held, before there is a state", "Error loading state: the state is already locked by another tofu client\n", &v1alpha2.LockInfo{}},
		{"held while init makes the first state", "Error loading state\nthe state is already locked by another tofu client\nLock Info:\n  ID:        77aa\n  Who:       ann@desk\n",
			&v1alpha2.LockInfo{ID: "77aa", Who: "ann@desk"}},
		{"held, of a cloud block, which shows what it would have written itself", "Error acquiring the state lock\n\nError message: workspace already locked (lock ID:\n" +
			"\"acme/net\")\nLock Info:\n  ID:        ab12\n  Who:       root@vm\n", &v1alpha2.LockInfo{ID: "acme/net"}},
		{"held, of the pg backend, which shows itself", "Error acquiring the state lock\n\nError message: Workspace is already locked: default\n" +
			"Lock Info:\n  ID:        77aa\n  Who:       root@vm\n", &v1alpha2.LockInfo{}},
		{"held, of the pg backend, which makes the workspace", "Error acquiring the state lock\n\nError message: Cannot lock workspace; already locked for workspace\n" +
			"creation: default\nLock Info:\n  ID:        77aa\n  Who:       root@vm\n", &v1alpha2.LockInfo{}},
		{"held, of the http backend, by OpenTofu: the holder's", "Error acquiring the state lock\n\nError message: HTTP remote state already locked: ID=ab12\n" +
			"Lock Info:\n  ID:        ab12\n  Who:       ann@desk\n", &v1alpha2.LockInfo{ID: "ab12", Who: "ann@desk"}},
		{"held, of the http backend, by Terraform, which shows itself", "Error acquiring the state lock\n\nError message: HTTP remote state already locked: ID=ab12\n" +
			"Lock Info:\n  ID:        77aa\n  Who:       root@vm\n", &v1alpha2.LockInfo{ID: "ab12"}},
		{"held, of the http backend, by whom can't be read", "Error acquiring the state lock\n\nError message: HTTP remote state already locked, failed to unmarshal\nbody\n" +
			"Lock Info:\n  ID:        77aa\n  Who:       root@vm\n", &v1alpha2.LockInfo{}},
		{"lost race for a Lease", "Error acquiring the state lock\n\nError message: Operation cannot be fulfilled on leases.coordination.k8s.io\n" +
			"\"lock-tfstate-default-race\": the object has been modified; please apply your changes to the latest version and try again", &v1alpha2.LockInfo{}},
		{"lost race for a new Lease", "Error acquiring the state lock\nError message: leases.coordination.k8s.io \"lock-tfstate-default-x\"\nalready exists", &v1alpha2.LockInfo{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			info, ok := lock.FromText(tc.text)
			g.Expect(ok).To(BeTrue())
			g.Expect(info).To(Equal(tc.want))
		})
	}
}

func TestFromText_LeavesOtherFailuresAlone(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":              "",
		"a state out of reach": "Error loading state\nsecrets \"tfstate-default-x\" is forbidden",
		"a missing right": "Error acquiring the state lock\nError message: leases.coordination.k8s.io \"lock-tfstate-default-x\" is forbidden: " +
			"User \"system:serviceaccount:a:tf-runner\" cannot get resource \"leases\"",
		"another error that shows lock info": "Error: Failed to unlock state\nLock Info:\n  ID: a",
		"a conflict of something else":       "Error: Operation cannot be fulfilled on leases.coordination.k8s.io \"x\": the object has been modified",
	} {
		t.Run(name, func(t *testing.T) {
			info, ok := lock.FromText(text)
			NewWithT(t).Expect(ok).To(BeFalse())
			NewWithT(t).Expect(info).To(BeNil())
		})
	}
}
