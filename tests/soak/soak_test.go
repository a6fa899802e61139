package soak

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

const (
	// restTime is what all objects together may take to come to rest.
	restTime = 15 * time.Minute
	look     = time.Second
)

// module is the same resource in each version: its id is that of the first apply, unless a state was lost.
func module(version int) string {
	return fmt.Sprintf(`
resource "terraform_data" "it" { input = "version %d" }
output "it" { value = terraform_data.it.output }
`, version)
}

type tenant struct {
	*local.Tenant
	names   []string
	version int
	// revision of the last commit.
	revision string
}

type soak struct {
	*WithT
	t       *testing.T
	ctx     context.Context
	random  *rand.Rand
	tenants []*tenant
	deleted map[client.ObjectKey]bool
}

// identity is what a state keeps for its whole life, and what only grows.
type identity struct {
	Lineage   string `json:"lineage"`
	Serial    int64  `json:"serial"`
	Resources []struct {
		Instances []struct {
			Attributes struct {
				ID string `json:"id"`
			} `json:"attributes"`
		} `json:"instances"`
	} `json:"resources"`
}

func (i *identity) id() string {
	if len(i.Resources) != 1 || len(i.Resources[0].Instances) != 1 {
		return fmt.Sprintf("%d resources", len(i.Resources))
	}
	return i.Resources[0].Instances[0].Attributes.ID
}

func TestSoak(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &soak{WithT: NewWithT(t), t: t, ctx: ctx, random: rand.New(rand.NewPCG(*seed, 0)), deleted: map[client.ObjectKey]bool{}}
	t.Logf("figure: seed %d, %d objects in %d namespaces, %s", *seed, *objects, *tenants, *duration)
	begun := time.Now()
	s.populate()
	s.rests()
	t.Logf("figure: %d objects applied in %s", *objects, time.Since(begun).Round(time.Second))
	first := s.states()

	before := s.size()
	s.breakThings(*duration/2, false)
	s.rests()
	s.sameSize(before)
	s.breakThings(*duration/2, true)
	broken := time.Now()
	s.rests()
	t.Logf("figure: all at rest %s after the last fault", time.Since(broken).Round(time.Second))

	s.nothingIsLost(first)
	s.nothingIsLeft()
}

func (s *soak) populate() {
	for i := range *tenants {
		made, err := system.NewTenant(s.ctx, "soak", map[string]string{"main.tf": module(0)})
		s.Expect(err).NotTo(HaveOccurred())
		t := &tenant{Tenant: made}
		s.tenants = append(s.tenants, t)
		s.commit(t)
		for j := i; j < *objects; j += *tenants {
			t.names = append(t.names, fmt.Sprintf("net-%d", j))
		}
	}
	for _, t := range s.tenants {
		for _, name := range t.names {
			s.Expect(system.Client.Create(s.ctx, &infrav1.Terraform{
				ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: name},
				Spec: infrav1.TerraformSpec{
					ApprovePlan: "auto", DestroyResourcesOnDeletion: true,
					Interval: metav1.Duration{Duration: 10 * time.Minute}, RetryInterval: &metav1.Duration{Duration: 5 * time.Second},
					SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: local.SourceName},
				},
			})).To(Succeed())
		}
	}
}

// breakThings breaks one thing after the other. Without restarts the controller stays the same process, so that its size
// before and after can be compared.
func (s *soak) breakThings(d time.Duration, restarts bool) {
	possible := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.restarts && !restarts })
	count := map[string]int{}
	for until := time.Now().Add(d); time.Now().Before(until); s.pass(*every) {
		s.commit(s.tenants[s.random.IntN(len(s.tenants))]) // so that there is always work that a fault can strike
		s.pass(*every / 4)
		f := possible[s.random.IntN(len(possible))]
		count[f.name]++
		f.do(s)
		select {
		case <-system.Controller.Done():
			s.Expect(restarts).To(BeTrue(), "the controller has ended by itself: see its log")
			s.startController()
		default:
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		s.t.Logf("figure: %s: %d times", name, count[name])
	}
}

// rests waits until each object is Ready at what its source offers now, and those that were deleted are gone.
func (s *soak) rests() {
	for _, t := range s.tenants {
		s.Expect(t.Sync(s.ctx)).To(Succeed(), "what a killed source-controller has missed")
	}
	s.Eventually(s.restless).WithTimeout(restTime).WithPolling(look).Should(BeEmpty())
}

// restless are the objects that are not there yet, with what they say.
func (s *soak) restless() ([]string, error) {
	var all infrav1.TerraformList
	if err := system.Client.List(s.ctx, &all); err != nil {
		return nil, err
	}
	var restless []string
	for i := range all.Items {
		tf := &all.Items[i]
		if why := why(tf, s.tenantOf(tf.Namespace).revision); why != "" {
			restless = append(restless, tf.Namespace+"/"+tf.Name+": "+why)
		}
	}
	return restless, nil
}

func (s *soak) tenantOf(namespace string) *tenant {
	return s.tenants[slices.IndexFunc(s.tenants, func(t *tenant) bool { return t.Namespace == namespace })]
}

// why an object is not at rest at that revision; "" when it is.
func why(tf *infrav1.Terraform, revision string) string {
	ready := conditions.Get(tf, meta.ReadyCondition)
	switch {
	case tf.DeletionTimestamp != nil:
		return "not gone"
	case tf.Status.ActiveRun != nil:
		return "run " + tf.Status.ActiveRun.Name
	case tf.Status.LastPlannedRevision != revision: // Ready says that nothing is left of it to be applied
		return "planned " + tf.Status.LastPlannedRevision + ", not " + revision
	case ready == nil:
		return "without a condition"
	case ready.Status != metav1.ConditionTrue:
		return string(ready.Status) + " " + ready.Reason + ": " + ready.Message
	}
	return ""
}

// states of all objects that were not deleted.
func (s *soak) states() map[client.ObjectKey]*identity {
	found := map[client.ObjectKey]*identity{}
	for _, t := range s.tenants {
		for _, name := range t.names {
			if key := (client.ObjectKey{Namespace: t.Namespace, Name: name}); !s.deleted[key] {
				found[key] = s.state(key)
			}
		}
	}
	return found
}

// state is read without the product: gzip and JSON in a Secret.
func (s *soak) state(key client.ObjectKey) *identity {
	secret := &corev1.Secret{}
	s.Expect(system.Client.Get(s.ctx, client.ObjectKey{Namespace: key.Namespace, Name: "tfstate-default-" + key.Name}, secret)).To(Succeed())
	r, err := gzip.NewReader(bytes.NewReader(secret.Data["tfstate"]))
	s.Expect(err).NotTo(HaveOccurred(), key.String())
	state := &identity{}
	s.Expect(json.NewDecoder(r).Decode(state)).To(Succeed(), key.String())
	return state
}

// nothingIsLost: each state is the one that the first apply made, and went on.
func (s *soak) nothingIsLost(first map[client.ObjectKey]*identity) {
	lost := 0
	for key, now := range s.states() {
		was := first[key]
		if now.Lineage != was.Lineage || now.Serial < was.Serial || now.id() != was.id() {
			lost++
			s.t.Errorf("%s: state was %+v, is %+v", key, was, now)
		}
	}
	for key := range s.deleted {
		s.Expect(s.state(key).Resources).To(BeEmpty(), "%s was destroyed before it went", key)
	}
	s.t.Logf("figure: lost states: %d of %d; %d objects were deleted and destroyed", lost, len(first), len(s.deleted))
}

// nothingIsLeft: no pod, no process, no lock, and of runs only a history.
func (s *soak) nothingIsLeft() {
	s.Eventually(func(g Gomega) {
		var pods corev1.PodList
		g.Expect(system.Client.List(s.ctx, &pods, client.MatchingLabels{"app.kubernetes.io/created-by": "tf-controller"})).To(Succeed())
		g.Expect(pods.Items).To(BeEmpty())
		g.Expect(system.Node.Processes()).To(BeEmpty())
	}).WithTimeout(time.Minute).WithPolling(look).Should(Succeed())
	var locks coordinationv1.LeaseList
	s.Expect(system.Client.List(s.ctx, &locks, client.MatchingLabels{"tfstate": "true"})).To(Succeed())
	s.Expect(locks.Items).NotTo(BeEmpty())
	for _, lock := range locks.Items {
		s.Expect(lock.Spec.HolderIdentity).To(BeNil(), lock.Namespace+"/"+lock.Name)
	}
	s.t.Logf("figure: stuck objects, pods, processes and locks: 0; %d locks were looked at", len(locks.Items))
}
