//go:build conformance

package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// refusalScenarios try every protocol's door with what the documentation says is refused: certificates, identities and tokens, file
// uploads. Each refusal has its form, its line in the log with the reason, and no secret in that.
func refusalScenarios() []scenario {
	return []scenario{
		{"refused_certificates", nil, refusedCertificates},
		{"refused_identities", nil, refusedIdentities},
		{"refused_uploads", nil, refusedUploads},
	}
}

// doorTimeout bounds each attempt. Refusals take milliseconds; this is for a machine that is busy with other things.
const doorTimeout = time.Minute

// credential is what somebody brings to a door.
type credential struct {
	token       string
	certificate *tls.Certificate
}

// door is a way in for devices.
type door struct {
	name string
	// enter tries to use an identity's own endpoint: nil when it is let in, errRefusal when it is refused as documented, and the
	// connection, whose end closes the channel, if there is one that stays.
	enter func(id string, c credential) (gone <-chan error, leave func(), err error)
}

// errRefusal is a refusal in the form that the protocol has for it.
var errRefusal = errors.New("refused")

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRefusal, fmt.Sprintf(format, args...))
}

// doors are those of the emulator.
func (a *siege) doors() []door {
	return []door{{"MQTT", a.enterMQTT}, {"AMQP", a.enterAMQP}, {"HTTPS", a.enterHTTPS}}
}

// newGate is a siege without a good client and without a measure of what attacks cost: others look at that.
func newGate(t *testing.T, s *site, h *hub) *siege {
	t.Helper()
	a := &siege{caller: newCaller(t, h), t: t, hub: h, host: h.ready.HostName}
	for _, texts := range []map[string]string{h.ready.Devices, h.ready.ConnectionStrings} {
		for _, text := range texts {
			a.secrets = append(a.secrets, connectionFields(text)["SharedAccessKey"])
		}
	}
	return a
}

func (a *siege) tlsWith(c credential) *tls.Config {
	config := a.tls.Clone()
	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}
	return config
}

func (a *siege) enterMQTT(id string, c credential) (<-chan error, func(), error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: doorTimeout}, "tcp", a.address(8883), a.tlsWith(c))
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(doorTimeout))
	connect := mqttConnect{client: id, user: a.userName(id)}
	if c.token != "" {
		connect.password = &c.token
	}
	if _, err = conn.Write(connect.packet()); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	var answer [4]byte
	if _, err = io.ReadFull(conn, answer[:]); err == nil && answer != [4]byte{0x20, 2, 0, 0} {
		err = fmt.Errorf("CONNACK % x", answer)
		if answer == [4]byte{0x20, 2, 0, refusedAuthorization} {
			err = refusal("%v", err)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	gone := make(chan error, 1)
	go func() {
		_, err := conn.Read(answer[:])
		gone <- err
		_ = conn.Close()
	}()
	return gone, func() { _ = conn.Close() }, nil
}

func (a *siege) enterAMQP(id string, c credential) (gone <-chan error, leave func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), doorTimeout)
	conn, err := amqp.Dial(ctx, "amqps://"+a.address(5671), &amqp.ConnOptions{HostName: a.host, TLSConfig: a.tlsWith(c), SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	end := func() {
		cancel()
		_ = conn.Close()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	if c.token != "" {
		if err := putToken(ctx, session, a.host+"/"+resourcePath(id), c.token); err != nil {
			return nil, nil, err
		}
	}
	receiver, err := session.NewReceiver(ctx, "/"+resourcePath(id)+"/messages/devicebound", nil)
	if err != nil {
		return nil, nil, refusedLink(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := receiver.Receive(ctx, nil)
		ended <- err
	}()
	sender, err := session.NewSender(ctx, "/"+resourcePath(id)+"/messages/events", nil)
	if err == nil {
		err = sender.Send(ctx, &amqp.Message{Data: [][]byte{[]byte("I am in")}}, nil)
	}
	if err != nil {
		return nil, nil, refusedLink(err)
	}
	return ended, end, nil
}

// refusedLink tells the refusal of a link for lack of a right from other errors.
func refusedLink(err error) error {
	var condition *amqp.Error
	if detached := (*amqp.LinkError)(nil); errors.As(err, &detached) {
		condition = detached.RemoteErr
	} else {
		errors.As(err, &condition)
	}
	if condition != nil && condition.Condition == amqp.ErrCondUnauthorizedAccess {
		return refusal("%v", err)
	}
	return err
}

// resourcePath is devices/{id}, or devices/{id}/modules/{id} for id/id.
func resourcePath(id string) string {
	device, module, found := strings.Cut(id, "/")
	if !found {
		return "devices/" + device
	}
	return "devices/" + device + "/modules/" + module
}

// putToken shows a token to $cbs; status 401 is a refusal.
// Source: AMQP claims-based security.
func putToken(ctx context.Context, session *amqp.Session, audience, token string) error {
	receiver, err := session.NewReceiver(ctx, "$cbs", nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		return err
	}
	replyTo := "cbs"
	err = sender.Send(ctx, &amqp.Message{
		Properties:            &amqp.MessageProperties{MessageID: "1", ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": audience},
		Value:                 token,
	}, nil)
	if err != nil {
		return err
	}
	answer, err := receiver.Receive(ctx, nil)
	if err != nil {
		return err
	}
	if err := receiver.AcceptMessage(ctx, answer); err != nil {
		return err
	}
	switch status := fmt.Sprint(answer.ApplicationProperties["status-code"]); status {
	case "200":
		return nil
	case "401":
		return refusal("put-token: %v", answer.ApplicationProperties)
	default:
		return fmt.Errorf("put-token: %v", answer.ApplicationProperties)
	}
}

func (a *siege) enterHTTPS(id string, c credential) (<-chan error, func(), error) {
	transport := &http.Transport{TLSClientConfig: a.tlsWith(c)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: doorTimeout, Transport: transport}
	status, code, text, err := a.post(client, "/"+resourcePath(id)+"/messages/events", c.token, "I am in")
	switch {
	case err != nil:
	case status == http.StatusUnauthorized && code != "" && strings.Contains(text, "rror"):
		err = refusal("%d %s", status, code)
	case status != http.StatusNoContent:
		err = fmt.Errorf("%d %s %s", status, code, text)
	}
	return nil, func() {}, err
}

// post sends a device's request; code is that of the service's error.
func (a *siege) post(client *http.Client, path, token, body string) (status int, code, text string, err error) {
	request, err := http.NewRequest(http.MethodPost, "https://"+a.address(443)+path+"?api-version=2021-04-12", strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	request.Host = a.host
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header.Get("iothub-errorcode"), string(answer), err
}

// wantRefused tries every door. reason is a part of the line in the log.
func (a *siege) wantRefused(name, id string, c credential, reason string) {
	a.t.Helper()
	for _, d := range a.doors() {
		mark := a.mark()
		_, leave, err := d.enter(id, c)
		if err == nil {
			leave()
		}
		if !errors.Is(err, errRefusal) {
			a.t.Errorf("%s, %s: %v, want the protocol's refusal", name, d.name, err)
			continue
		}
		a.wantLogged(name+", "+d.name, mark, reason)
	}
}

// wantAdmitted tries every door and leaves again.
func (a *siege) wantAdmitted(name, id string, c credential) {
	a.t.Helper()
	for _, d := range a.doors() {
		_, leave, err := d.enter(id, c)
		if err != nil {
			a.t.Errorf("%s, %s: %v, want to be let in", name, d.name, err)
			continue
		}
		leave()
	}
}

// wantPutOut is inside by the doors behind which one stays, does what ends the right to that, and waits for the end of each.
func (a *siege) wantPutOut(name, id string, c credential, reason string, end, again func()) {
	a.t.Helper()
	for _, d := range a.doors() {
		gone, leave, err := d.enter(id, c)
		if err != nil {
			a.t.Errorf("%s, %s: %v, want to be let in", name, d.name, err)
			continue
		}
		if gone == nil {
			continue
		}
		mark := a.mark()
		end()
		select {
		case err := <-gone:
			a.checkPutOut(name+", "+d.name, err)
		case <-time.After(doorTimeout):
			a.t.Errorf("%s, %s: still inside", name, d.name)
		}
		leave()
		a.wantLogged(name+", "+d.name, mark, reason)
		again()
	}
}

// checkPutOut looks at how somebody noticed the end of its connection or link: not by running out of patience.
func (a *siege) checkPutOut(name string, err error) {
	a.t.Helper()
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		a.t.Errorf("%s: still inside", name)
	}
}

// wantLogged waits for a line of the log that holds the reason, or one of several with | between them.
func (a *siege) wantLogged(name string, mark int64, reason string) {
	a.t.Helper()
	deadline := time.Now().Add(doorTimeout)
	for {
		lines := a.linesSince(mark)
		for _, line := range lines {
			holds := func(text string) bool { return strings.Contains(line, text) }
			if slices.ContainsFunc(strings.Split(reason, "|"), holds) && (strings.Contains(line, " level=WARN ") || strings.Contains(line, " level=INFO ")) {
				return
			}
		}
		if time.Now().After(deadline) {
			a.t.Errorf("%s: the log does not say %q, but:\n%s", name, reason, strings.Join(lines, "\n"))
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
