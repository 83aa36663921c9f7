package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// doctorCmd looks for what keeps programs from using the emulator.
type doctorCmd struct {
	Data string `placeholder:"DIR" help:"Data directory to look at (${datadir})."`
}

// severity of a finding.
type severity string

const (
	fine    severity = "ok"
	remark  severity = "note"
	problem severity = "PROBLEM"
)

// finding is one thing that doctor looked at. Mend says what to do about it.
type finding struct {
	severity   severity
	text, mend string
}

const (
	// clockTolerance is what clocks may differ: tokens are valid for minutes at least.
	clockTolerance = time.Minute
	// expiresSoon is when a certificate is remarked upon.
	expiresSoon = 14 * 24 * time.Hour
	doctorWait  = 10 * time.Second
)

// Run prints what it finds, best first things first, and fails when there is a problem.
func (c *doctorCmd) Run(a *app) error {
	problems := 0
	tell := func(findings ...finding) {
		for _, f := range findings {
			if f.severity == problem {
				problems++
			}
			_, _ = fmt.Fprintf(a.stdout, "%-8s %s\n", f.severity, f.text)
			if f.mend != "" {
				_, _ = fmt.Fprintf(a.stdout, "         -> %s\n", f.mend)
			}
		}
	}
	dir := c.Data
	if dir == "" {
		dir = defaultDataDir()
	}
	tell(checkDataDir(dir))
	_, err := a.ask("/health")
	if err != nil && strings.HasPrefix(err.Error(), "no emulator") {
		tell(finding{remark, "no emulator answers at " + a.adminURL, fmt.Sprintf("start one with %q, or name it with --admin-url", programName())})
		tell(checkPorts(usualPorts())...)
		tell(checkProxy(nil, os.Getenv)...)
	} else {
		if err != nil {
			tell(finding{problem, "the emulator is not healthy: " + err.Error(), "its log says more"})
		}
		tell(c.running(a)...)
	}
	if problems > 0 {
		_, _ = fmt.Fprintf(a.stdout, "\n%d to mend\n", problems)
		return exitCode(exitFailure)
	}
	return nil
}

// running looks at a running emulator and at the programs that are to use it.
func (c *doctorCmd) running(a *app) []finding {
	info, err := a.info()
	if err != nil {
		return []finding{{problem, err.Error(), "name the emulator's management address with --admin-url"}}
	}
	all := []finding{{fine, fmt.Sprintf("emulator %s at %s, hub %s", info.Version, a.adminURL, info.HostName), ""}}
	roots, err := a.roots(info)
	if err != nil {
		return append(all, finding{problem, "the certificate authority cannot be read: " + err.Error(), ""})
	}
	for _, port := range []struct {
		name   string
		number int
	}{{"MQTT", info.Ports.MQTT}, {"AMQP", info.Ports.AMQP}, {"HTTPS", info.Ports.HTTPS}} {
		address := net.JoinHostPort(a.emulatorAddress(), strconv.Itoa(port.number))
		all = append(all, checkCertificate(port.name, address, info.HostNames, roots, time.Now()))
	}
	if info.Ports.HTTPS != emulator.DefaultHTTPSPort {
		all = append(all, finding{
			remark, fmt.Sprintf("HTTPS is on port %d: SDKs that dial 443 whatever the connection string says cannot use it", info.Ports.HTTPS),
			"start the emulator with the right to bind 443; docs/trust.md and --https-port say how",
		})
	}
	all = append(all, checkNames(info, a.emulatorAddress(), net.LookupHost)...)
	all = append(all, a.checkClock())
	all = append(all, checkProxy(info.HostNames, os.Getenv)...)
	return append(all, a.checkSDKs(info)...)
}

// roots returns what clients shall trust.
func (a *app) roots(info emulator.Info) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	ca, err := a.ask("/ca.pem")
	if errors.Is(err, errNotFound) {
		// The operator's own certificate.
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, err
		}
		if ca, err = os.ReadFile(info.CAFile); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	pool.AppendCertsFromPEM(ca)
	return pool, err
}

// checkDataDir finds out whether files can be made there.
func checkDataDir(dir string) finding {
	if dir == "" {
		return finding{problem, "this account has no home directory to keep data in", "start with --data DIR or --in-memory"}
	}
	at := dir
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return finding{problem, fmt.Sprintf("data directory %s: %s is a file", dir, at), "remove the file, or start with --data DIR"}
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(at)
		if parent == at {
			return finding{problem, fmt.Sprintf("data directory %s: %v", dir, err), "start with --data DIR or --in-memory"}
		}
		at = parent
	}
	file, err := os.CreateTemp(at, ".hubnerite-doctor-*")
	if err != nil {
		return finding{problem, fmt.Sprintf("data directory %s cannot be written: %v", dir, err), "make it writable for this account, or start with --data DIR or --in-memory"}
	}
	_ = file.Close()
	_ = os.Remove(file.Name())
	return finding{fine, fmt.Sprintf("data directory %s can be written", dir), ""}
}

// checkCertificate makes a handshake under each name.
func checkCertificate(protocol, address string, names []string, roots *x509.CertPool, now time.Time) finding {
	var until time.Time
	for _, name := range names {
		dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: doctorWait}, Config: &tls.Config{
			RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12, Time: func() time.Time { return now },
		}}
		c, err := dialer.Dial("tcp", address)
		var invalid x509.CertificateInvalidError
		var other x509.HostnameError
		switch {
		case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
			return finding{
				problem, fmt.Sprintf("%s at %s: the certificate is not valid now: %v", protocol, address, err),
				"restart the emulator, which renews it; set this machine's clock if that is wrong; renew a certificate of your own (--cert)",
			}
		case errors.As(err, &other):
			return finding{
				problem, fmt.Sprintf("%s at %s: the certificate is not for %s: %v", protocol, address, name, err),
				"start the emulator with --hostname " + name + ", or give a certificate that has it (--cert)",
			}
		case err != nil:
			return finding{problem, fmt.Sprintf("%s at %s: %v", protocol, address, err), "look at the emulator's log; a firewall or a proxy may be between"}
		}
		if t, ok := c.(*tls.Conn); ok {
			until = t.ConnectionState().PeerCertificates[0].NotAfter
		}
		_ = c.Close()
	}
	text := fmt.Sprintf("%s at %s: certificate for %s, valid until %s", protocol, address, strings.Join(names, ", "), until.Format(time.DateOnly))
	if until.Sub(now) < expiresSoon {
		return finding{remark, text, "it is renewed when the emulator starts; one of your own (--cert) is yours to renew"}
	}
	return finding{fine, text, ""}
}

// checkNames finds out whether the hub's names lead to the emulator on this machine.
func checkNames(info emulator.Info, want string, lookup func(string) ([]string, error)) []finding {
	var all []finding
	var wrong []string
	for _, name := range namesToMap(info, nil) {
		addresses, err := lookup(name)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s does not resolve", name))
		case !leadsTo(addresses, want):
			wrong = append(wrong, fmt.Sprintf("%s leads to %s", name, strings.Join(addresses, ", ")))
		default:
			all = append(all, finding{fine, fmt.Sprintf("%s leads to %s", name, addresses[0]), ""})
		}
	}
	if len(wrong) > 0 {
		all = append(all, finding{
			problem, strings.Join(wrong, "; ") + fmt.Sprintf(", the emulator is at %s", want),
			fmt.Sprintf("add the lines of %q to the hosts file (%s), or run programs with \"%s exec --map-hosts\" (Linux)", programName()+" hosts", hostsFilePath(), programName()),
		})
	}
	return all
}

func leadsTo(addresses []string, want string) bool {
	target := net.ParseIP(want)
	for _, text := range addresses {
		ip := net.ParseIP(text)
		if ip != nil && (ip.Equal(target) || ip.IsLoopback() && target.IsLoopback()) {
			return true
		}
	}
	return false
}

// checkClock compares the clocks of both machines, and the one of the hubs.
func (a *app) checkClock() finding {
	text, err := a.ask("/clock")
	var clock struct {
		Real   time.Time
		Offset string
		Frozen bool
	}
	if err == nil {
		err = json.Unmarshal(text, &clock)
	}
	if err != nil {
		return finding{remark, "the clock cannot be asked: " + err.Error(), ""}
	}
	return judgeClock(time.Now(), clock.Real, clock.Offset, clock.Frozen)
}

func judgeClock(here, there time.Time, offset string, frozen bool) finding {
	ahead, err := time.ParseDuration(offset)
	switch skew := there.Sub(here); {
	case skew.Abs() > clockTolerance:
		return finding{problem, fmt.Sprintf("the emulator's machine is %s off this one's clock; tokens may be refused as expired", skew.Round(time.Second)), "set both clocks, by NTP for example"}
	case frozen:
		return finding{remark, "the clock of the hubs stands still", "let it run: PUT /clock of the management API with {\"frozen\":false}"}
	case err == nil && ahead.Abs() > clockTolerance:
		return finding{remark, fmt.Sprintf("the clock of the hubs was moved by %s; tokens made by the real time may be refused as expired", offset), "show the real time again: PUT /clock of the management API with {\"offset\":\"0s\",\"frozen\":false}"}
	}
	return finding{fine, "clocks agree", ""}
}

// checkProxy finds a proxy that would be asked for the hub's names.
func checkProxy(names []string, getenv func(string) string) []finding {
	proxied := ""
	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		if proxied == "" && getenv(variable) != "" {
			proxied = variable
		}
	}
	if proxied == "" {
		return nil
	}
	except := "," + strings.ReplaceAll(getenv("NO_PROXY")+","+getenv("no_proxy"), " ", "") + ","
	var asked []string
	for _, name := range append([]string{"localhost"}, names...) {
		if !strings.Contains(except, ","+name+",") && !strings.Contains(except, ",*,") {
			asked = append(asked, name)
		}
	}
	if len(asked) == 0 {
		return []finding{{fine, proxied + " is set, and NO_PROXY excepts the emulator", ""}}
	}
	return []finding{{
		remark, fmt.Sprintf("%s is set: programs may ask that proxy for %s", proxied, strings.Join(asked, ", ")),
		fmt.Sprintf("\"%s env\" and \"%s exec\" set NO_PROXY", programName(), programName()),
	}}
}

// usualPorts are those that an emulator would take, by the names of their flags.
func usualPorts() map[string]int {
	ports := map[string]int{
		"mqtt-port": emulator.DefaultMQTTPort, "amqp-port": emulator.DefaultAMQPPort, "amqp-plain-port": emulator.DefaultAMQPPlainPort,
		"https-port": emulator.DefaultHTTPSPort, "admin-port": emulator.DefaultAdminPort,
	}
	for flag := range ports {
		if n, err := strconv.Atoi(os.Getenv(environmentPrefix + environmentName(flag))); err == nil {
			ports[flag] = n
		}
	}
	return ports
}

// hostsFilePath is where this system has its hosts file.
func hostsFilePath() string {
	if root := os.Getenv("SystemRoot"); root != "" {
		return filepath.Join(root, "System32", "drivers", "etc", "hosts")
	}
	return "/etc/hosts"
}

// httpsAddress is where SDKs are tried: the host's name and port.
func (a *app) httpsAddress(info emulator.Info) (host string, port int) {
	if admin, err := url.Parse(a.adminURL); err == nil && admin.Hostname() != "" {
		return admin.Hostname(), info.Ports.HTTPS
	}
	return "127.0.0.1", info.Ports.HTTPS
}
