package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// keepsWaiting lets the plan that waits stay in place of the one that was just made, when that is the same: a person who
// has read it, or has it before them, is not to find another file under its id. It says whether it stays.
func (p *planner) keepsWaiting(ctx context.Context) bool {
	waits := p.run.Spec.Plan
	if waits == nil || waits.ID != p.stored.ID {
		return false
	}
	old, err := planstore.Load(ctx, p.cfg.Client, p.owner, p.spec.GetWorkspace(), waits.Digest)
	if err != nil {
		p.log.Info("the plan that waits is replaced: it can't be loaded", "id", waits.ID, "error", err.Error())
		return false
	}
	if what := different(old, p.stored); what != "" {
		p.log.Info("the plan that waits is replaced: it has the same changes, but was made of something else", "id", waits.ID, "different", what)
		return false
	}
	p.log.Info("the plan that waits is still good", "id", waits.ID)
	p.stored = old
	p.reportDigest()
	return true
}

// different names what two plans with the same changes differ in, of all that decides whether, and with what, they can be
// applied; "" for nothing.
func different(old, made *planstore.Plan) string {
	switch {
	case old.ID != made.ID:
		return "id"
	case old.Engine != made.Engine:
		return "engine"
	case old.ArtifactDigest != made.ArtifactDigest:
		return "artifact"
	case old.Lineage != made.Lineage || old.Serial != made.Serial:
		return "state"
	case old.Variables != made.Variables:
		return "variables"
	case !bytes.Equal(old.LockFile, made.LockFile):
		return "lock file"
	}
	return ""
}

// recordState notes the state that the plan was made of. It says whether that is known.
func (p *planner) recordState(ctx context.Context) bool {
	state := p.state.found
	if p.dir.backend.Kubernetes { // init may have made one
		var err error
		if state, err = backend.ReadState(ctx, p.cfg.Client, p.dir.backend); err != nil {
			p.log.Info("the state that the plan was made of is not known", "error", err.Error())
			return false
		}
	}
	if state != nil {
		p.stored.Lineage, p.stored.Serial = state.Lineage, state.Serial
	}
	return true
}

// digestOfInputs stands for the values of variables, and the settings of the backend, that the plan file holds. It is stored
// beside that file, and nowhere else.
func (p *planner) digestOfInputs(made *tfjson.Plan) (string, error) {
	values, err := json.Marshal(plan.Variables(made))
	if err != nil {
		return "", fmt.Errorf("encode the plan's variables: %w", err)
	}
	values = append(values, p.dir.backend.Overrides()...)
	return planstore.Digest(values), nil
}
