package trust

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
)

// Names are what a server certificate covers.
type Names struct {
	DNS []string
	IP  []net.IP
}

// ServerNames returns the names that every server certificate of the emulator
// carries, together with the given host names and addresses: the loopback names and
// the domains of IoT Hub, the Device Provisioning Service and Event Hubs, so
// that a client whose hosts file sends a real hub's name here finds it valid.
//
// A name such as hub.localhost is listed as it is: clients refuse a wildcard
// above a single label. A port, as in "localhost:8443", is cut off.
func ServerNames(hosts ...string) Names {
	n := Names{
		DNS: []string{
			"localhost",
			"*.azure-devices.net",
			"*.device.azure-devices.net",
			"*.service.azure-devices.net",
			"*.azure-devices-provisioning.net",
			"*.servicebus.windows.net",
		},
		IP: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
	}
	for _, host := range hosts {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
		ip := net.ParseIP(host)
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		switch {
		case host == "" || slices.Contains(n.DNS, host) || slices.ContainsFunc(n.IP, ip.Equal):
		case ip != nil:
			n.IP = append(n.IP, ip)
		default:
			n.DNS = append(n.DNS, host)
		}
	}
	return n
}

// Cover reports whether host, a name or an address without a port, is one of
// the names, by the rules for certificates: any case, and a wildcard for one
// label.
func (n Names) Cover(host string) bool {
	// Nearly every name is one of these two kinds, and every request asks.
	if label, domain, _ := strings.Cut(host, "."); slices.Contains(n.DNS, host) && host[0] != '*' || plainLabel(label) && n.wildcard(domain) {
		return true
	}
	c := x509.Certificate{DNSNames: n.DNS, IPAddresses: n.IP}
	return c.VerifyHostname(host) == nil
}

// equal reports whether c covers exactly these names, in whatever order.
func (n Names) equal(c *x509.Certificate) bool {
	return len(n.DNS) == len(c.DNSNames) && len(n.IP) == len(c.IPAddresses) &&
		!slices.ContainsFunc(n.DNS, func(s string) bool { return !slices.Contains(c.DNSNames, s) }) &&
		!slices.ContainsFunc(n.IP, func(ip net.IP) bool { return !slices.ContainsFunc(c.IPAddresses, ip.Equal) })
}

// wildcard reports whether every name right below the domain is one of the names.
func (n Names) wildcard(domain string) bool {
	return domain != "" && slices.ContainsFunc(n.DNS, func(name string) bool {
		rest, ok := strings.CutPrefix(name, "*.")
		return ok && rest == domain
	})
}

func plainLabel(label string) bool {
	for i := range len(label) {
		if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return label != ""
}
