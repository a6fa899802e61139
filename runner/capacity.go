package runner

import (
	"compress/gzip"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
)

// secretRoom is how many bytes the data of a Secret may have.
const secretRoom = 1 << 20

// capacity is what the place of a state can hold.
type capacity struct {
	backend *backend.Settings
	engine  v1alpha2.EngineIdentity
	// splits: the engine spreads a state over several Secrets.
	splits bool
}

// exceeded says that a state is larger than that, and the ways out; "" when it is not.
func (c capacity) exceeded(content []byte) string {
	if !c.backend.Kubernetes || c.splits {
		return ""
	}
	size := packedSize(content)
	if size <= secretRoom {
		return ""
	}
	return fmt.Sprintf("packed the state has %d bytes, and %s %s keeps at most %d, in one Secret: split the module, choose another backend "+
		"(spec.backendConfig.customConfiguration), or Terraform 1.7 or later (spec.engine), which takes several Secrets",
		size, c.engine.Name, c.engine.Version, secretRoom)
}

// packedSize is what the engines' kubernetes backend would write, give or take some white space.
func packedSize(content []byte) int {
	var count counter
	w := gzip.NewWriter(&count)
	_, _ = w.Write(content) // a counter takes everything
	_ = w.Close()
	return int(count)
}

type counter int

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// foreignState says that a state that was rescued is of another backend, while the present one has nothing: everything would be
// made a second time. "" where it has something: then a person has moved the state there.
func foreignState(secret string, present *v1alpha2.StateStatus) string {
	if present != nil && present.Resources > 0 {
		return ""
	}
	return fmt.Sprintf("the state that could not be written to another backend or workspace is kept in Secret %s, and here there are "+
		"no resources: push the kept state, or, to begin anew, delete that Secret", secret)
}
