package planstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

// Load reads the plan with this digest, and only it: number, order and hash of the chunks have to fit, the manifest has to
// have this digest, and each file the one that the manifest names, or the result is an *Error.
func Load(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, workspace, digest string) (*Plan, error) {
	if !digestForm.MatchString(digest) {
		return nil, missing("%q is no digest of a stored plan", digest)
	}
	l := loading{reader: c, key: key{owner: owner, workspace: workspace, digest: digest}}
	m, lockFile, err := l.manifest(ctx)
	if err != nil {
		return nil, err
	}
	file, err := l.file(ctx, m)
	if err != nil {
		return nil, err
	}
	extra, err := l.extra(ctx, m)
	if err != nil {
		return nil, err
	}
	return &Plan{
		ID: m.ID, Digest: digest, File: file, LockFile: lockFile, Extra: extra,
		Engine: m.Engine, ArtifactDigest: m.ArtifactDigest, Lineage: m.Lineage, Serial: m.Serial, Variables: m.Variables,
	}, nil
}

// loading is one Load.
type loading struct {
	reader client.Reader
	key    key
}

// manifest reads what belongs to the plan, and the lock file beside it.
func (l loading) manifest(ctx context.Context) (m manifest, lockFile []byte, err error) {
	secret, err := l.get(ctx, l.key.filesName())
	if err != nil {
		return m, nil, err
	}
	if err := json.Unmarshal(secret.Data[manifestKey], &m); err != nil {
		return m, nil, tampered("Secret %q has no readable %s", name(secret), manifestKey)
	}
	if m.File == "" {
		return m, nil, missing("it was stored by an older version, and its digest covers the plan file only")
	}
	if m.Chunks < 1 || m.Chunks > maxChunks || m.ExtraChunks < 0 || m.ExtraChunks > maxChunks {
		return m, nil, tampered("%s in Secret %q is of another plan", manifestKey, name(secret))
	}
	if got, err := m.digest(); err != nil || got != l.key.digest {
		return m, nil, tampered("%s in Secret %q has the digest %s, not %s", manifestKey, name(secret), got, l.key.digest)
	}
	lockFile, found := secret.Data[LockFileKey]
	if found != (m.LockFile != "") || found && Digest(lockFile) != m.LockFile {
		return m, nil, tampered("%s in Secret %q is not the one that was stored", LockFileKey, name(secret))
	}
	return m, lockFile, nil
}

// file joins the chunks of the plan file.
func (l loading) file(ctx context.Context, m manifest) ([]byte, error) {
	var zipped bytes.Buffer
	for i := range m.Chunks {
		want := l.key.planName()
		if m.Chunks > 1 {
			want = bundle.Numbered(want, i)
		}
		secret, err := l.get(ctx, want)
		if err != nil {
			return nil, err
		}
		data := secret.Data[planKey]
		if m.Chunks > 1 && (secret.Annotations[v1alpha2.PlanChunkAnnotation] != strconv.Itoa(i) ||
			secret.Annotations[v1alpha2.PlanHashAnnotation] != hash(data)) {
			return nil, tampered("Secret %q is not chunk %d as it was stored", name(secret), i)
		}
		zipped.Write(data)
	}
	file, err := bundle.Unpack(zipped.Bytes(), maxPlan)
	if err != nil {
		return nil, tampered("%v", err)
	}
	if got := Digest(file); got != m.File {
		return nil, tampered("its file has the digest %s, not %s", got, m.File)
	}
	return file, nil
}

// extra joins the chunks of the extra files.
func (l loading) extra(ctx context.Context, m manifest) ([]byte, error) {
	if m.Extra == "" {
		return nil, nil
	}
	extra := []byte{}
	for i := range m.ExtraChunks {
		secret, err := l.get(ctx, bundle.Numbered(l.key.filesName(), i))
		if err != nil {
			return nil, err
		}
		extra = append(extra, secret.Data[extraKey]...)
	}
	if Digest(extra) != m.Extra {
		return nil, tampered("its extra files are not the ones that were stored")
	}
	return extra, nil
}

// get reads one Secret of the plan.
func (l loading) get(ctx context.Context, secretName string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	id := client.ObjectKey{Namespace: l.key.owner.Namespace, Name: secretName}
	err := l.reader.Get(ctx, id, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, missing("Secret %q is not there", id.String())
	case err != nil:
		return nil, explain(fmt.Sprintf("reading the stored plan in Secret %q", id.String()), id.Namespace, err)
	case secret.Annotations[DigestAnnotation] != l.key.digest:
		return nil, tampered("Secret %q is of another plan", id.String())
	}
	return secret, nil
}

func name(secret *corev1.Secret) string { return secret.Namespace + "/" + secret.Name }
