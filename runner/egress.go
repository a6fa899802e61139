package runner

import (
	"errors"
	"fmt"
	"net"
)

// egress says, of an endpoint that can't be reached from a tenant's namespace, what a NetworkPolicy there has to allow.
type egress struct {
	// namespace of the runner pod.
	namespace string
	// endpoint is host:port; "" when only the error knows it.
	endpoint string
	// to names who is behind it.
	to string
}

// explain adds that to an error of the network that came before there was a connection. Other errors stay as they are: who
// has answered could be reached.
func (e egress) explain(err error) error {
	dialled, refused := errors.AsType[*net.OpError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	if !unknown && !(refused && dialled.Op == "dial") {
		return err
	}
	endpoint := e.endpoint
	if endpoint == "" && refused && dialled.Addr != nil {
		endpoint = dialled.Addr.String()
	}
	port := "its port"
	if _, p, splitErr := net.SplitHostPort(endpoint); splitErr == nil {
		port = "TCP port " + p
	}
	return fmt.Errorf("%w; the runner has no connection to %s (%s): a NetworkPolicy that denies egress in namespace %s has to allow "+
		"%s to it, and DNS (port 53)", err, endpoint, e.to, e.namespace, port)
}
