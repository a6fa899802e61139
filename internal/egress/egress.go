// Package egress says which addresses the controller may call on behalf of users: not itself, its node, or what answers
// with credentials there. In-cluster Services and the Internet may be called; NetworkPolicies narrow that.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
	// dialTimeout limits the wait for a connection.
	dialTimeout = 10 * time.Second
	// maxRedirects is how often an answer may send the client on.
	maxRedirects = 3
	httpsPort    = 443
)

// ErrRefused says that an address may not be called.
var ErrRefused = errors.New("the controller calls no such address")

// refusal is the answer for one address.
type refusal struct {
	address netip.Addr
	why     string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the controller does not call %s: it is %s; --egress-allowed-cidrs allows addresses", r.address, r.why)
}

func (*refusal) Unwrap() error { return ErrRefused }

// metadata are addresses of clouds' metadata services that no class of addresses has.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS, IPv6
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud, IPv6
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")
	// translated holds IPv4 addresses in their last four bytes (NAT64).
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// Guard looks at each address that is about to be connected to, after its name was resolved, so that no answer of a name
// server gets around it. The zero value allows nothing but what is public or private.
type Guard struct {
	// Allowed networks may be called, whatever they are.
	Allowed []netip.Prefix
	// Refused are never called.
	Refused []netip.AddrPort
}

// New makes a guard of networks in CIDR form. The API server, by its URL, is refused; where that has a name instead of an
// address it is not known.
func New(allowed []string, apiServer string) (*Guard, error) {
	g := &Guard{}
	for _, text := range allowed {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no network like 10.0.0.0/8: %w", text, err)
		}
		g.Allowed = append(g.Allowed, prefix.Masked())
	}
	if server, known := addressOf(apiServer); known {
		g.Refused = append(g.Refused, server)
	}
	return g, nil
}

func addressOf(server string) (netip.AddrPort, bool) {
	u, err := url.Parse(server)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if with, err := netip.ParseAddrPort(u.Host); err == nil {
		return with, true
	}
	address, err := netip.ParseAddr(u.Hostname())
	return netip.AddrPortFrom(address, httpsPort), err == nil
}

// Check gives the reason why an address may not be called; it is ErrRefused.
func (g *Guard) Check(target netip.AddrPort) error {
	address := plain(target.Addr())
	if slices.ContainsFunc(g.Refused, func(r netip.AddrPort) bool { return plain(r.Addr()) == address && r.Port() == target.Port() }) {
		return &refusal{address, "the API server"}
	}
	if slices.ContainsFunc(g.Allowed, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return nil
	}
	if why := special(address); why != "" {
		return &refusal{address, why}
	}
	return nil
}

// plain is the address that a packet will have in the end: IPv4 may be written as IPv6.
func plain(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if translated.Contains(address) {
		bytes := address.As16()
		return netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return address
}

func special(address netip.Addr) string {
	switch {
	case !address.IsValid():
		return "no IP address"
	case address.IsLoopback():
		return "a loopback address"
	case address.IsLinkLocalUnicast():
		return "a link-local address"
	case address.IsMulticast(), address == broadcast:
		return "a multicast or broadcast address"
	case address.IsUnspecified(), thisNetwork.Contains(address):
		return "an unspecified address"
	case slices.Contains(metadata, address):
		return "the address of a metadata service"
	}
	return ""
}

// Dialer connects to what may be called only.
func (g *Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: g.control}
}

func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return g.Check(target)
}

// SameHost is a CheckRedirect that follows an answer to the same host only. Elsewhere the answer itself is given back.
func SameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}
