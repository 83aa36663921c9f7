package amqphub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// wantDocument checks the error document that descriptions and refused requests hold.
func wantDocument(t *testing.T, what, text string, want iothub.Code) {
	t.Helper()
	var d struct {
		ErrorCode           int
		TrackingID, Message string
		TimestampUTC        time.Time
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.ErrorCode != int(want) || d.Message == "" ||
		!strings.Contains(d.TrackingID, "-G:0-TimeStamp:") || d.TimestampUTC.IsZero() {
		t.Errorf("%s: %s, want code %d (%v)", what, text, want, err)
	}
}

// A link to a node that there is not is detached with the service's error document.
func TestUnknownNodesHaveTheirCode(t *testing.T) {
	r := newRig(t)
	for address, s := range map[string]*goamqp.Session{
		"nowhere": r.plain("service"), "/devices/d/nothing": r.device(deviceD()), "hub1/ConsumerGroups/$Default/Other/0": r.plain("service"),
	} {
		_, err := s.NewReceiver(r.ctx(), address, nil)
		var refused *goamqp.Error
		if !errors.As(err, &refused) || refused.Condition != "amqp:not-found" {
			t.Errorf("%s: %v", address, err)
			continue
		}
		wantDocument(t, address, refused.Description, iothub.CodeAmqpAddressNotFound)
	}
}

func TestUnknownTwinOperationHasItsCode(t *testing.T) {
	r := newRig(t)
	answer := r.twin(r.device(deviceD()), deviceD(), "twin:1").ask("1", "POST", "/properties/reported", "{}")
	if answer.Annotations["status"] != int32(400) {
		t.Errorf("status %v", answer.Annotations["status"])
	}
	wantDocument(t, "POST", string(answer.GetData()), iothub.CodeInvalidOperation)
}

// A connection may hold so many tokens; those that ended make room.
func TestTokensOfOneConnection(t *testing.T) {
	r := newRig(t)
	c := r.cbs(r.dial(goamqp.SASLTypeAnonymous()))
	key := ""
	for _, p := range registry.DefaultPolicies() {
		if p.Name == "device" {
			key = p.PrimaryKey
		}
	}
	put := func(device int, lasts time.Duration) (int32, string) {
		t.Helper()
		resource := fmt.Sprintf("hub1.azure-devices.net/devices/d%d", device)
		token, err := registry.SignSASToken(resource, "device", key, r.Now().Add(lasts))
		if err != nil {
			t.Fatal(err)
		}
		m := &goamqp.Message{
			Properties:            &goamqp.MessageProperties{MessageID: uint64(device)},
			ApplicationProperties: map[string]any{"operation": "put-token", "type": sasType, "name": resource},
			Value:                 token,
		}
		if err := c.sender.Send(r.ctx(), m, nil); err != nil {
			t.Fatal(err)
		}
		answer, err := c.receiver.Receive(r.ctx(), nil)
		if err == nil {
			err = c.receiver.AcceptMessage(r.ctx(), answer)
		}
		if err != nil {
			t.Fatal(err)
		}
		status, _ := answer.ApplicationProperties["status-code"].(int32)
		description, _ := answer.ApplicationProperties["status-description"].(string)
		return status, description
	}
	for i := range maxGrants {
		if status, description := put(i, time.Minute); status != 200 {
			t.Fatalf("token %d: %d %s", i, status, description)
		}
	}
	status, description := put(maxGrants, time.Hour)
	if status != 403 {
		t.Errorf("a token too many: %d %s", status, description)
	}
	wantDocument(t, "a token too many", description, iothub.CodeIotHubMaxCbsTokenExceeded)
	if status, description := put(0, time.Hour); status != 200 {
		t.Errorf("renewal of one that is held: %d %s", status, description)
	}
	r.advance(2 * time.Minute)
	if status, description := put(maxGrants, time.Hour); status != 200 {
		t.Errorf("after the others ended: %d %s", status, description)
	}
}
