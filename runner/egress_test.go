package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestEgress_IsToldOfOnlyWhereThereWasNoConnection(t *testing.T) {
	dial := func(address string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err
	}
	refused, unknown := dial("127.0.0.1:1"), dial("terraform-controller.invalid:9443")
	for name, tc := range map[string]struct {
		reason   string
		err      error
		endpoint string
		says     string
	}{
		"refused":         {"a firewall answers so", refused, "controller.flux:9443", "no connection to controller.flux:9443 (the endpoint): a NetworkPolicy that denies egress in namespace infra has to allow TCP port 9443 to it, and DNS"},
		"wrapped":         {"clients wrap what they get", fmt.Errorf("get: %w", refused), "controller.flux:9443", "has to allow TCP port 9443"},
		"by address":      {"the error knows whom it was to reach", refused, "", "no connection to 127.0.0.1:1 (the endpoint)"},
		"no name":         {"a policy that denies DNS denies all", unknown, "terraform-controller.invalid:9443", "and DNS (port 53)"},
		"another failure": {"who has answered could be reached", errors.New("403 Forbidden"), "controller.flux:9443", ""},
		"broken off":      {"there was a connection", &net.OpError{Op: "read", Err: errors.New("reset")}, "controller.flux:9443", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := egress{namespace: "infra", endpoint: tc.endpoint, to: "the endpoint"}.explain(tc.err)
			g.Expect(errors.Is(got, tc.err)).To(BeTrue())
			if tc.says == "" {
				g.Expect(got).To(BeIdenticalTo(tc.err), tc.reason)
				return
			}
			g.Expect(got).To(MatchError(ContainSubstring(tc.says)), tc.reason)
		})
	}
}
