package backend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	// maxState limits an uncompressed state, in bytes.
	maxState = 64 << 20

	stateKey = "tfstate"
)

// StateError is a state Secret that holds no state that can be read.
type StateError struct {
	// Namespace and Secret name it.
	Namespace, Secret string
	// Message is the whole text, with the way out.
	Message string
	// Err is the cause.
	Err error
}

// Error is Message.
func (e *StateError) Error() string { return e.Message }

// Unwrap is Err.
func (e *StateError) Unwrap() error { return e.Err }

// ReadState reads what identifies the state, without the engine. It is nil when there is none: no Secret, or one
// that nothing was written to yet (the engine makes the Secret before it writes the state). A Secret that can't be
// read as a state is a *StateError; other errors are the API server's. Only for Settings with Kubernetes.
func ReadState(ctx context.Context, c client.Reader, s *Settings) (*v1alpha2.StateStatus, error) {
	content, err := ReadContent(ctx, c, s)
	if content == nil || err != nil {
		return nil, err
	}
	state, err := Identify(content)
	if err != nil {
		return nil, s.unreadable(err)
	}
	return state, nil
}

// ReadContent reads the state itself, as ReadState does; nil when there is none.
func ReadContent(ctx context.Context, c client.Reader, s *Settings) ([]byte, error) {
	parts := &stateParts{secret: s.StateSecret, read: func(name string) ([]byte, bool, error) {
		return readPart(ctx, c, s.Namespace, name)
	}}
	if err := parts.open(); err != nil {
		return nil, s.forbidden(err)
	}
	if parts.absent {
		return nil, nil
	}
	content, err := parts.content()
	if parts.failed != nil {
		return nil, s.forbidden(parts.failed)
	}
	if err != nil {
		return nil, s.unreadable(err)
	}
	return content, nil
}

func (s *Settings) unreadable(err error) *StateError {
	return &StateError{
		Namespace: s.Namespace, Secret: s.StateSecret, Err: err,
		Message: fmt.Sprintf("the state in Secret %q can't be read: %v; put a good copy of the Secret back before anything else runs",
			s.Namespace+"/"+s.StateSecret, err),
	}
}

func (s *Settings) forbidden(err error) error {
	err = fmt.Errorf("reading the state in Secret %q: %w", s.Namespace+"/"+s.StateSecret, err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs get, list, create and update on secrets to this account", err, s.Namespace)
	}
	return err
}

// readPart is the data of one Secret; absent means that there is none.
func readPart(ctx context.Context, c client.Reader, namespace, name string) (data []byte, absent bool, err error) {
	secret := &corev1.Secret{}
	err = c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	data, found := secret.Data[stateKey]
	return data, !found, nil
}

// stateParts reads the Secrets of a state one after the other, the next one only when the ones before did not end
// the state: OpenTofu writes one Secret, Terraform further ones named <secret>-part-1, -part-2 ...
type stateParts struct {
	read   func(name string) (data []byte, absent bool, err error)
	secret string

	number  int
	current []byte
	absent  bool
	failed  error
}

func (p *stateParts) open() error {
	p.current, p.absent, p.failed = p.read(p.secret)
	return p.failed
}

// Read implements io.Reader.
func (p *stateParts) Read(into []byte) (int, error) {
	for len(p.current) == 0 {
		p.number++
		data, absent, err := p.read(fmt.Sprintf("%s-part-%d", p.secret, p.number))
		if err != nil {
			p.failed = err
			return 0, err
		}
		if absent {
			return 0, io.EOF
		}
		p.current = data
	}
	n := copy(into, p.current)
	p.current = p.current[n:]
	return n, nil
}

// content decompresses.
func (p *stateParts) content() ([]byte, error) {
	buffered := bufio.NewReader(p)
	content, err := bundle.Read(buffered, maxState)
	if err != nil {
		return nil, truncated(err)
	}
	if buffered.Buffered() > 0 || len(p.current) > 0 {
		return nil, errors.New("there is more in it than a state")
	}
	return content, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early: %w", err)
	}
	return err
}

// Identify reads a state of format 4, as it is stored or as `state pull` prints it; also one that OpenTofu has
// encrypted, then without the number of resources.
func Identify(content []byte) (*v1alpha2.StateStatus, error) {
	var file struct {
		Lineage   string `json:"lineage"`
		Serial    int64  `json:"serial"`
		Resources []struct {
			Mode      string     `json:"mode"`
			Instances []struct{} `json:"instances"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("it is no state file: %w", err)
	}
	state := &v1alpha2.StateStatus{Lineage: file.Lineage, Serial: file.Serial, Size: int64(len(content))}
	for _, resource := range file.Resources {
		if resource.Mode == "managed" {
			state.Resources += int64(len(resource.Instances))
		}
	}
	return state, nil
}
