// Package planstore keeps plans, and what has to travel with them, in Secrets of the object's namespace; and, where that is
// asked for, plans in a readable form.
//
// A plan with digest sha256:<64 hex> of object NAME in workspace WS is
//
//	tfplan-WS-NAME-<8 hex>             key tfplan: the plan file, gzip; or, when that is larger than a chunk,
//	tfplan-WS-NAME-<8 hex>-0, -1 ...   key tfplan: 900 KiB of it each
//	tfplan-files-WS-NAME-<8 hex>       keys manifest.json and .terraform.lock.hcl
//	tfplan-files-WS-NAME-<8 hex>-0 ... key extra.tar.gz: files that appeared while planning, when there are any
//
// The digest is that of the contents in manifest.json, which holds the digests of the files: no part can be exchanged, not
// even by somebody who writes all of these Secrets.
//
// The first two have the labels and annotations that the incumbent's tools know (contract 2.2); the others lack its
// label plan-name, because those tools join whatever has it. The digest in the object's status is the commit: Secrets
// of other digests don't count, and Prune removes them.
package planstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	// DigestAnnotation holds the digest of the plan that a Secret is a part of.
	DigestAnnotation = "infra.contrib.fluxcd.io/plan-digest"

	// FilesOfLabel marks the Secrets with the files of a plan; its value is the object's name (SafeLabelValue).
	FilesOfLabel = "infra.contrib.fluxcd.io/plan-files-of"

	// LockFileKey is the key of the dependency lock file.
	LockFileKey = ".terraform.lock.hcl"

	planKey     = "tfplan"
	manifestKey = "manifest.json"
	extraKey    = "extra.tar.gz"

	// maxChunks and maxPlan (bytes, uncompressed) limit what Load takes in.
	maxChunks = 512
	maxPlan   = 256 << 20
)

// Plan is a stored plan.
type Plan struct {
	// ID of the plan, as in status.plan.pending.
	ID string
	// Digest covers all the rest; Seal sets it.
	Digest string
	// File is the engine's plan file.
	File []byte
	// LockFile is .terraform.lock.hcl; nil when the module has no providers.
	LockFile []byte
	// Engine that made the plan; only the same one can apply it.
	Engine v1alpha2.EngineIdentity
	// ArtifactDigest is the digest of the source artifact.
	ArtifactDigest string
	// Lineage and Serial of the state that the plan was made of; no lineage: there was no state, or it is not known.
	Lineage string
	Serial  int64
	// Variables is a digest of the values that the plan holds of the module's variables.
	Variables string
	// Extra is a tar.gz of files that appeared while planning; nil when there are none.
	Extra []byte
}

// Reason says why a stored plan can't be had.
type Reason string

const (
	// Missing: it, or a part of it, is not there.
	Missing Reason = "Missing"
	// Tampered: what is there is not what was stored.
	Tampered Reason = "Tampered"
)

// Error is a stored plan that can't be applied any more; a new one has to be made. Other errors of Load are the API
// server's.
type Error struct {
	Reason Reason
	// Message is the whole text.
	Message string
}

// Error is Message.
func (e *Error) Error() string { return e.Message }

func missing(format string, args ...any) *Error {
	return &Error{Reason: Missing, Message: "the stored plan is incomplete: " + fmt.Sprintf(format, args...)}
}

func tampered(format string, args ...any) *Error {
	return &Error{Reason: Tampered, Message: "the stored plan was altered: " + fmt.Sprintf(format, args...)}
}

// Digest of some bytes: sha256:<64 hex>.
func Digest(data []byte) string { return digestPrefix + hash(data) }

// Seal sets the digest of a plan that is complete.
func (p *Plan) Seal() (err error) {
	p.Digest, err = contentsOf(p).digest()
	return err
}

const digestPrefix = "sha256:"

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Save stores a plan under its digest. Its parts are written before the manifest that names them; storing the same
// plan again is success. What is stored under other digests stays, until Prune.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, workspace string, p *Plan) error {
	digest, err := contentsOf(p).digest()
	if err == nil && digest != p.Digest {
		err = fmt.Errorf("its digest is %s, not %s", digest, p.Digest)
	}
	if err != nil {
		return fmt.Errorf("storing plan %s: %w", p.ID, err)
	}
	zipped, err := bundle.Pack(p.File)
	if err != nil {
		return fmt.Errorf("storing plan %s: %w", p.ID, err)
	}
	k := key{owner: owner, workspace: workspace, digest: p.Digest}
	secrets, err := k.secrets(p, zipped)
	if err != nil {
		return fmt.Errorf("storing plan %s: %w", p.ID, err)
	}
	for _, secret := range secrets {
		if err := put(ctx, c, owner, secret); err != nil {
			doing := fmt.Sprintf("storing plan %s in Secret %q", p.ID, secret.Namespace+"/"+secret.Name)
			return explain(doing, secret.Namespace, err)
		}
	}
	return nil
}

func explain(doing, namespace string, err error) error {
	return bundle.Explain(doing, namespace, err, "get", "list", "create", "update", "delete")
}
