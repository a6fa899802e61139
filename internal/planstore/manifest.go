package planstore

import (
	"encoding/json"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// manifest says what belongs to a plan, and in how many chunks it is stored.
type manifest struct {
	contents
	Chunks      int `json:"chunks"`
	ExtraChunks int `json:"extraChunks,omitempty"`
}

// contents are all that a plan holds, files as their digests. The plan's digest covers each field.
type contents struct {
	ID             string                  `json:"id"`
	Engine         v1alpha2.EngineIdentity `json:"engine"`
	ArtifactDigest string                  `json:"artifactDigest"`
	Lineage        string                  `json:"lineage,omitempty"`
	Serial         int64                   `json:"serial,omitempty"`
	Variables      string                  `json:"variables,omitempty"`
	File           string                  `json:"file"`
	LockFile       string                  `json:"lockFile,omitempty"`
	Extra          string                  `json:"extra,omitempty"`
}

func contentsOf(p *Plan) contents {
	c := contents{
		ID: p.ID, Engine: p.Engine, ArtifactDigest: p.ArtifactDigest, Lineage: p.Lineage, Serial: p.Serial,
		Variables: p.Variables, File: Digest(p.File),
	}
	if p.LockFile != nil {
		c.LockFile = Digest(p.LockFile)
	}
	if p.Extra != nil {
		c.Extra = Digest(p.Extra)
	}
	return c
}

// digest is that of the plan.
func (c contents) digest() (string, error) {
	encoded, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode what the plan holds: %w", err)
	}
	return Digest(encoded), nil
}
