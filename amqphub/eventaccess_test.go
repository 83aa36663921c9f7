package amqphub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/registry"
)

// eventHubToken signs as Event Hubs SDKs do: with the text of the key.
func (r *rig) eventHubToken(policy, resource string) string {
	for _, p := range registry.DefaultPolicies() {
		if p.Name == policy {
			return signWithText(resource, policy, p.PrimaryKey, r.Now().Add(time.Minute))
		}
	}
	r.t.Fatal(policy)
	return ""
}

func signWithText(resource, policy, key string, expiry time.Time) string {
	sr, se := url.QueryEscape(resource), strconv.FormatInt(expiry.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(sr + "\n" + se))
	signature := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return "SharedAccessSignature sr=" + sr + "&sig=" + signature + "&se=" + se + "&skn=" + policy
}

// A token opens what it is for and no more.
func TestEventTokens(t *testing.T) {
	r := newRig(t)
	partition := r.bodies(1)
	reader := readerAddress(partition)
	const sas = "servicebus.windows.net:sastoken"
	for _, c := range []struct {
		resource          string
		reads, management bool
	}{
		{"sb://hub1.servicebus.windows.net/", true, true},
		{"sb://hub1.servicebus.windows.net/hub1", true, true},
		{"sb://hub1.servicebus.windows.net/HUB1/$management", false, true},
		{"amqps://hub1.servicebus.windows.net:5671/" + reader, true, false},
		{"amqps://hub1.servicebus.windows.net/" + strings.ToLower(reader), true, false},
		{"hub1.azure-devices.net/messages/events", true, true},
		{"hub1.azure-devices.net/messages/events/$management", false, true},
		{"hub1.azure-devices.net/devices/d", false, false},
		{"sb://hub1.servicebus.windows.net/hub1/ConsumerGroups/other", false, false},
	} {
		s := r.dial(goamqp.SASLTypeAnonymous())
		if status, _ := r.cbs(s).put("1", sas, c.resource, r.eventHubToken("service", c.resource)); status != 200 {
			t.Errorf("%s: %d", c.resource, status)
			continue
		}
		rcv, err := s.NewReceiver(r.ctx(), reader, readerOptions("", 1, nil))
		if (err == nil) != c.reads {
			t.Errorf("%s: reading: %v", c.resource, err)
		}
		if err == nil {
			if err := rcv.Close(r.ctx()); err != nil {
				t.Error(err)
			}
		}
		want := int32(401)
		if c.management {
			want = 200
		}
		t.Log("management with a token for", c.resource)
		r.management(s, "hub1/$management").read("com.microsoft:eventhub", "hub1", nil, want)
	}
	// A reader ends with its token, unless there is another.
	s := r.dial(goamqp.SASLTypeAnonymous())
	c := r.cbs(s)
	audience := "amqps://hub1.servicebus.windows.net/" + reader
	c.put("1", sas, audience, r.eventHubToken("service", audience))
	rcv, err := s.NewReceiver(r.ctx(), reader, readerOptions("", 5, nil))
	if err != nil {
		t.Fatal(err)
	}
	r.advance(50 * time.Second)
	c.put("2", sas, audience, r.eventHubToken("service", audience))
	r.advance(30 * time.Second)
	r.receiveEvent(rcv)
	r.advance(time.Minute)
	_, err = rcv.Receive(r.ctx(), nil)
	wantCondition(t, "after expiry", err, "amqp:unauthorized-access")
}

func TestRedirect(t *testing.T) {
	r := newRig(t)
	r.bodies(1)
	for _, c := range []struct{ host, address, wantHost, wantAddress string }{
		{"hub1.azure-devices.net", "amqps://hub1.azure-devices.net/messages/events/$management", "hub1.servicebus.windows.net", "amqps://hub1.servicebus.windows.net:5671/hub1/$management"},
		{"hub7.azure-devices.net:5671", "messages/events/", "hub7.servicebus.windows.net", "amqps://hub7.servicebus.windows.net:5671/hub7"},
		{"localhost", "/messages/events/ConsumerGroups/$Default/Partitions/0", "localhost", "amqps://localhost:5671/hub1/ConsumerGroups/$Default/Partitions/0"},
		{"127.0.0.1", "messages/events", "127.0.0.1", "amqps://127.0.0.1:5671/hub1"},
	} {
		for name, sasl := range map[string]goamqp.SASLType{
			"PLAIN": goamqp.SASLTypePlain("service@sas.root.hub1", r.token("service")), "ANONYMOUS": goamqp.SASLTypeAnonymous(), "none": nil,
		} {
			conn, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: sasl, HostName: c.host})
			if err != nil {
				t.Fatal(err)
			}
			s, err := conn.NewSession(r.ctx(), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.NewReceiver(r.ctx(), c.address, nil)
			wantCondition(t, c.address, err, "amqp:link:redirect")
			var redirect *goamqp.Error
			if !errors.As(err, &redirect) {
				t.Fatal(err)
			}
			info := redirect.Info
			if info["hostname"] != c.wantHost || info["network-host"] != c.wantHost || info["port"] != int32(5671) || info["address"] != c.wantAddress {
				t.Errorf("%s to %s by %s: %v", c.address, c.host, name, info)
			}
			// Whoever follows it is served, or asked for a token: by the management node with every request.
			followed, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: sasl, HostName: c.wantHost})
			if err != nil {
				t.Fatal(err)
			}
			if s, err = followed.NewSession(r.ctx(), nil); err != nil {
				t.Fatal(err)
			}
			there, _ := info["address"].(string)
			if !strings.HasSuffix(there, "/$management") && !strings.Contains(there, "Partitions") {
				there += "/ConsumerGroups/$Default/Partitions/0"
			}
			_, err = s.NewReceiver(r.ctx(), there, nil)
			if served := name == "PLAIN" || strings.HasSuffix(there, "/$management"); served && err != nil {
				t.Errorf("%s: %v", there, err)
			} else if !served {
				wantCondition(t, there, err, "amqp:unauthorized-access")
			}
			_, _ = conn.Close(), followed.Close()
		}
	}
	// On the Event Hubs host name messages/events is served.
	conn, err := goamqp.Dial(r.ctx(), "amqp://"+r.addr, &goamqp.ConnOptions{
		SASLType: goamqp.SASLTypePlain("service@sas.root.hub1", r.token("service")), HostName: "hub1.servicebus.windows.net",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	s, err := conn.NewSession(r.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewReceiver(r.ctx(), "messages/events/ConsumerGroups/$Default/Partitions/0", nil); err != nil {
		t.Error(err)
	}
}
