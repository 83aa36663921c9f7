//go:build conformance

package conformance

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// hostileScenarios attack the built binary as a stranger would: every attack meets the protocol's own refusal and one line in
// the log that names the reason and no secret, while a well-behaved client is served all the time, and nothing is left behind.
func hostileScenarios() []scenario {
	return []scenario{
		{"hostile_credentials", nil, hostileCredentials},
		{"hostile_mqtt", nil, hostileMQTT},
		{"hostile_amqp", nil, hostileAMQP},
		{"hostile_rest", nil, hostileREST},
		{"hostile_stalls", nil, hostileStalls},
		{"hostile_noise", nil, hostileNoise},
	}
}

// Bounds of what an attack may cost. They are wide: what they look for grows with every attack.
const (
	maxAckTime     = 10 * time.Second // a machine that runs other scenarios at the same time
	maxMoreThreads = 24
	maxMoreMemory  = 160 << 20
	maxLogLine     = 2 << 10
)

// siege is an emulator under attack and a device, good, that is served meanwhile.
type siege struct {
	*caller
	t     *testing.T
	hub   *hub
	host  string
	good  *mqttClient
	stop  chan struct{}
	ended chan struct{}
	acked atomic.Int64
	sent  atomic.Int64
	worst atomic.Int64 // the longest time to a PUBACK, ns
	c2d   chan string

	before usage
	// secrets must not be in the log.
	secrets []string
}

// usage is what the emulator's process holds.
type usage struct {
	files, threads int
	memory         int64 // resident, bytes
}

func newSiege(t *testing.T, s *site, devices ...string) *siege {
	t.Helper()
	flags := []string{"--device", "good"}
	for _, d := range devices {
		flags = append(flags, "--device", d)
	}
	h := s.startHub(t, flags...)
	a := &siege{
		caller: newCaller(t, h), t: t, hub: h, host: h.ready.HostName,
		stop: make(chan struct{}), ended: make(chan struct{}), c2d: make(chan string, 16),
	}
	for _, text := range h.ready.Devices {
		a.secrets = append(a.secrets, connectionFields(text)["SharedAccessKey"])
	}
	for _, text := range h.ready.ConnectionStrings {
		a.secrets = append(a.secrets, connectionFields(text)["SharedAccessKey"])
	}
	var err error
	a.good, err = dialMQTT(a.address(8883), a.tls, a.host, "good", a.token("good"), func(_ string, payload []byte) { a.c2d <- string(payload) })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.good.subscribe("devices/good/messages/devicebound/#"); err != nil {
		t.Fatal(err)
	}
	// Everything that is made on first use exists before the measurement.
	a.checkServed("before the attack")
	a.client.CloseIdleConnections()
	time.Sleep(200 * time.Millisecond)
	a.before = a.usage()
	go a.pulse()
	return a
}

// pulse sends telemetry until stop and measures how long the acknowledgement takes.
func (a *siege) pulse() {
	defer close(a.ended)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-a.good.ended:
			return
		case <-ticker.C:
		}
		begun := time.Now()
		a.sent.Add(1)
		err := a.good.publish("devices/good/messages/events/", []byte("pulse"), func() {
			a.acked.Add(1)
			took := int64(time.Since(begun))
			for {
				worst := a.worst.Load()
				if took <= worst || a.worst.CompareAndSwap(worst, took) {
					return
				}
			}
		})
		if err != nil {
			return
		}
	}
}

// finish ends the attack: the good client was served all the time and still is, nothing of the attack is left, no line of the log
// is too long, an error of ours or holds a secret.
func (a *siege) finish() {
	a.t.Helper()
	close(a.stop)
	<-a.ended
	deadline := time.Now().Add(time.Minute)
	for a.acked.Load() < a.sent.Load() && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if sent, acked := a.sent.Load(), a.acked.Load(); acked < sent || sent < 20 {
		a.t.Errorf("the good client: %d of %d messages acknowledged", acked, sent)
	}
	if worst := time.Duration(a.worst.Load()); worst > maxAckTime {
		a.t.Errorf("the good client waited %s for an acknowledgement", worst)
	}
	a.checkServed("after the attack")
	a.checkUsage("after the attack")
	a.t.Logf("%d messages acknowledged meanwhile, the slowest after %s", a.acked.Load(), time.Duration(a.worst.Load()))
	a.good.close()
	a.checkLog()
	a.checkGoroutines()
}

// checkServed uses each port as intended: telemetry, a registry read, a cloud-to-device message by AMQP, the admin API.
func (a *siege) checkServed(when string) {
	a.t.Helper()
	acknowledged := make(chan struct{})
	if err := a.good.publish("devices/good/messages/events/", []byte(when), func() { close(acknowledged) }); err != nil {
		a.t.Errorf("%s: %v", when, err)
	}
	select {
	case <-acknowledged:
	case <-time.After(maxAckTime):
		a.t.Errorf("%s: no PUBACK", when)
	}
	if status, answer, err := a.call("GET", "/devices/good", nil, ""); err != nil || status != http.StatusOK {
		a.t.Errorf("%s: GET of the device: %d %v %v", when, status, answer, err)
	}
	var health map[string]any
	a.hub.adminGet("/health", &health)
	if err := a.sendC2D("good", when); err != nil {
		a.t.Errorf("%s: C2D: %v", when, err)
		return
	}
	select {
	case body := <-a.c2d:
		if body != when {
			a.t.Errorf("%s: C2D %q", when, body)
		}
	case <-time.After(maxAckTime):
		a.t.Errorf("%s: the C2D message did not arrive", when)
	}
}

func (a *siege) sendC2D(device, body string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := a.dialAMQP(ctx, amqp.SASLTypePlain("service@sas.root.localhost", a.serviceToken()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "/messages/devicebound", nil)
	if err != nil {
		return err
	}
	to := "/devices/" + device + "/messages/devicebound"
	return sender.Send(ctx, &amqp.Message{Properties: &amqp.MessageProperties{To: &to}, Data: [][]byte{[]byte(body)}}, nil)
}

func (a *siege) dialAMQP(ctx context.Context, login amqp.SASLType) (*amqp.Conn, error) {
	return amqp.Dial(ctx, "amqps://"+a.address(5671), &amqp.ConnOptions{HostName: a.host, TLSConfig: a.tls, SASLType: login})
}

// serviceToken is good for the hub's service side.
func (a *siege) serviceToken() string {
	fields := connectionFields(a.ready.ConnectionStrings["service"])
	return sign(a.host, fields["SharedAccessKey"], "service", time.Hour)
}

// token is a device's own, good for an hour.
func (a *siege) token(device string) string {
	return sign(a.host+"/devices/"+device, a.key(device), "", time.Hour)
}

func (a *siege) key(device string) string {
	return connectionFields(a.ready.Devices[device])["SharedAccessKey"]
}

// sign is signature with a choice of the time to live, which may be negative.
func sign(resource, key, policy string, ttl time.Duration) string {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	sr, se := url.QueryEscape(resource), strconv.FormatInt(time.Now().Add(ttl).Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(sr + "\n" + se))
	token := "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
	if policy != "" {
		token += "&skn=" + policy
	}
	return token
}

func (a *siege) address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// dialTLS connects to a port; everything on the connection must be over within 15 s.
func (a *siege) dialTLS(port int) *tls.Conn {
	a.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", a.address(port), a.tls)
	if err != nil {
		a.t.Fatalf("port %d: %v", port, err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// exchange sends bytes and returns what comes until the emulator ends the connection; it must end it, and not reset it.
func (a *siege) exchange(name string, port int, attack []byte) []byte {
	a.t.Helper()
	conn := a.dialTLS(port)
	defer func() { _ = conn.Close() }()
	return a.exchangeOn(name, conn, attack)
}

func (a *siege) exchangeOn(name string, conn net.Conn, attack []byte) []byte {
	a.t.Helper()
	go func() { _, _ = conn.Write(attack) }() // the emulator may end before it has read everything
	answer, err := io.ReadAll(conn)
	if err != nil {
		a.t.Errorf("%s: the connection did not end plainly: %v after % x", name, err, answer[:min(len(answer), 64)])
	}
	return answer
}

// mark is a place in the log.
func (a *siege) mark() int64 {
	info, err := os.Stat(a.hub.log.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	return info.Size()
}

// linesSince returns the lines of the log at Info and above since a mark.
func (a *siege) linesSince(mark int64) []string {
	text, err := os.ReadFile(a.hub.log.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text[mark:])) {
		if strings.HasPrefix(line, "time=") && !strings.Contains(line, " level=DEBUG ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// wantOneLine waits for the line that an attack makes, and for no second one. reason is a part of it.
func (a *siege) wantOneLine(name string, mark int64, reason string) {
	a.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for len(a.linesSince(mark)) == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	lines := a.linesSince(mark)
	switch {
	case len(lines) != 1:
		a.t.Errorf("%s: %d lines in the log, want one about it:\n%s", name, len(lines), strings.Join(lines, "\n"))
	case !strings.Contains(lines[0], " level=WARN ") && !strings.Contains(lines[0], " level=INFO "):
		a.t.Errorf("%s: not the peer's fault by the log: %s", name, lines[0])
	case !strings.Contains(lines[0], reason):
		a.t.Errorf("%s: the log does not say %q: %s", name, reason, lines[0])
	}
}

func (a *siege) checkLog() {
	a.t.Helper()
	text, err := os.ReadFile(a.hub.log.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	// What the emulator prints before it is ready holds keys on purpose.
	_, log, _ := bytes.Cut(text, []byte("hubnerite ready"))
	for line := range bytes.Lines(log) {
		if len(line) > maxLogLine {
			a.t.Errorf("a line of %d bytes in the log: %s…", len(line), line[:300])
		}
		if bytes.Contains(line, []byte("level=ERROR")) {
			a.t.Errorf("an attack was taken for the emulator's own fault: %s", line[:min(len(line), 500)])
		}
		for _, secret := range append(a.secrets, "sig=", "SharedAccessSignature sr") {
			if bytes.Contains(line, []byte(secret)) {
				a.t.Errorf("a secret in the log: %s", line[:min(len(line), 500)])
			}
		}
	}
}

// usage reads what the process holds; zero where the system does not tell.
func (a *siege) usage() usage {
	a.t.Helper()
	folder := fmt.Sprintf("/proc/%d", a.hub.cmd.Process.Pid)
	if runtime.GOOS != "linux" {
		return usage{}
	}
	files, err := os.ReadDir(folder + "/fd")
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := os.ReadFile(folder + "/status")
	if err != nil {
		a.t.Fatal(err)
	}
	u := usage{files: len(files)}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			u.memory = n << 10
		case "Threads:":
			u.threads = int(n)
		}
	}
	return u
}

// checkUsage waits until the process holds no more than before the attack.
func (a *siege) checkUsage(when string) {
	a.t.Helper()
	a.client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(time.Minute)
	for {
		now := a.usage()
		more := now.files - a.before.files
		if more <= 2 && now.threads-a.before.threads <= maxMoreThreads && now.memory-a.before.memory <= maxMoreMemory {
			a.t.Logf("%s: %d files (%+d), %d threads (%+d), %d MiB (%+d)", when, now.files, more, now.threads,
				now.threads-a.before.threads, now.memory>>20, (now.memory-a.before.memory)>>20)
			return
		}
		if time.Now().After(deadline) {
			a.t.Errorf("%s: %+v, before it %+v", when, now, a.before)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// checkGoroutines ends the emulator with SIGQUIT, whose stack dump shows what still runs: nothing that serves a connection,
// because every client has left.
func (a *siege) checkGoroutines() {
	a.t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	a.client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	// The good client's connection is gone when its file is; a goroutine ends a moment after it.
	for end := time.Now().Add(time.Minute); a.usage().files >= a.before.files && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond) // the longest linger of a connection
	mark := a.mark()
	cmd := a.hub.cmd
	a.hub.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case err := <-a.hub.done:
		if err == nil {
			a.t.Error("SIGQUIT ended the emulator with exit code 0")
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		a.t.Errorf("no end by SIGQUIT: %v", <-a.hub.done)
	}
	text, err := os.ReadFile(a.hub.log.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	dump := string(text[mark:])
	count := strings.Count(dump, "\ngoroutine ")
	if count < 5 {
		a.t.Errorf("%d goroutines in the stack dump: it is not one", count)
	}
	for _, stack := range strings.Split(dump, "\n\n") {
		for _, serving := range []string{"broker.(*Server).ServeConn", "amqp.(*Conn)", "net/http.(*conn).serve", "amqphub.(*c2dSender)", "broker.(*session)"} {
			if strings.Contains(stack, serving+"(") || strings.Contains(stack, serving+".") {
				a.t.Errorf("left behind, although every client has gone:\n%s", stack)
				break
			}
		}
	}
	a.t.Logf("%d goroutines at the end", count)
	if err := os.Truncate(a.hub.log.Name(), mark); err != nil {
		a.t.Error(err)
	}
}

var errNotRefused = errors.New("it was not refused")
