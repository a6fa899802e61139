package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// defaultCapabilities are those that container runtimes leave to root.
var defaultCapabilities = map[string]int{
	"AUDIT_WRITE": unix.CAP_AUDIT_WRITE, "CHOWN": unix.CAP_CHOWN, "DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE,
	"FOWNER": unix.CAP_FOWNER, "FSETID": unix.CAP_FSETID, "KILL": unix.CAP_KILL, "MKNOD": unix.CAP_MKNOD,
	"NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "NET_RAW": unix.CAP_NET_RAW, "SETFCAP": unix.CAP_SETFCAP,
	"SETGID": unix.CAP_SETGID, "SETPCAP": unix.CAP_SETPCAP, "SETUID": unix.CAP_SETUID, "SYS_CHROOT": unix.CAP_SYS_CHROOT,
}

// Capabilities are what root keeps of the default ones after drop and add; it is not ok when a name is not one of them.
func Capabilities(drop, add []string) (kept []int, ok bool) {
	const all = "ALL"
	for _, name := range slices.Concat(drop, add) {
		if _, known := defaultCapabilities[name]; !known && (name != all || slices.Contains(add, all)) {
			return nil, false
		}
	}
	for name, number := range defaultCapabilities {
		dropped := slices.Contains(drop, name) || slices.Contains(drop, all)
		if !dropped || slices.Contains(add, name) {
			kept = append(kept, number)
		}
	}
	return kept, true
}
