package iothub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestMessageSize(t *testing.T) {
	s := SystemProperties{MessageID: "12", ContentType: "123"}
	if got := MessageSize(&s, Properties{{"ab", "c"}}, []byte("xyz")); got != 2+3+3+3 {
		t.Error(got)
	}
}

func TestAckWantsFeedback(t *testing.T) {
	for _, c := range []struct {
		ack     Ack
		outcome Outcome
		want    bool
	}{
		{AckNone, OutcomeSuccess, false},
		{AckNone, OutcomeExpired, false},
		{AckPositive, OutcomeSuccess, true},
		{AckPositive, OutcomeExpired, false},
		{AckNegative, OutcomeSuccess, false},
		{AckNegative, OutcomeRejected, true},
		{AckNegative, OutcomePurged, true},
		{AckNegative, OutcomeDeliveryCountExceeded, true},
		{AckFull, OutcomeSuccess, true},
		{AckFull, OutcomeExpired, true},
	} {
		if got := c.ack.WantsFeedback(c.outcome); got != c.want {
			t.Errorf("%s, %s: %v", c.ack, c.outcome, got)
		}
	}
}

func TestParseAck(t *testing.T) {
	for text, want := range map[string]Ack{
		"": AckNone, "Full": AckFull, "positive": AckPositive, "NEGATIVE": AckNegative, "none": AckNone,
		"positiveonly": AckPositive, "negativeOnly": AckNegative,
	} {
		if got, err := ParseAck(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseAck("maybe"); ErrorCode(err) != CodeArgumentInvalid {
		t.Error(err)
	}
}

func TestMethodRequestValidate(t *testing.T) {
	m := MethodRequest{MethodName: "reboot", Payload: json.RawMessage(`"x"`)}
	if err := m.Validate(); err != nil || m.ResponseTimeout != DefaultResponseTimeout {
		t.Fatal(err, m.ResponseTimeout)
	}
	for name, bad := range map[string]MethodRequest{
		"no name":          {},
		"space":            {MethodName: "a b"},
		"slash":            {MethodName: "a/b"},
		"dollar":           {MethodName: "$a"},
		"long":             {MethodName: strings.Repeat("x", 101)},
		"short response":   {MethodName: "a", ResponseTimeout: 4 * time.Second},
		"long response":    {MethodName: "a", ResponseTimeout: 301 * time.Second},
		"negative connect": {MethodName: "a", ConnectTimeout: -1},
		"connect>response": {MethodName: "a", ResponseTimeout: 5 * time.Second, ConnectTimeout: 6 * time.Second},
		"connect over max": {MethodName: "a", ResponseTimeout: 300 * time.Second, ConnectTimeout: 301 * time.Second},
	} {
		if err := bad.Validate(); ErrorCode(err) != CodeArgumentInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := MethodRequest{MethodName: "a", Payload: make([]byte, MaxMethodPayload+1)}
	if err := big.Validate(); ErrorCode(err) != CodeMessageTooLarge {
		t.Error(err)
	}
	component := MethodRequest{MethodName: "thermostat1*reboot"}
	if err := component.Validate(); err != nil {
		t.Errorf("a component command: %v", err)
	}
}

func TestFormatTime(t *testing.T) {
	if got := FormatTime(time.Time{}); got != "0001-01-01T00:00:00Z" {
		t.Error(got)
	}
	if got := FormatTime(time.Date(2026, 1, 5, 10, 0, 0, 123456789, time.FixedZone("", 3600))); got != "2026-01-05T09:00:00.1234567Z" {
		t.Error(got)
	}
}

func TestIdentityJSON(t *testing.T) {
	i := Identity{
		ID: ID{DeviceID: "d"}, GenerationID: "1", ETag: "MQ==", Status: StatusEnabled,
		Authentication: Authentication{Type: AuthCertificateAuthority},
	}
	var doc map[string]any
	data, err := MarshalIdentity(i, ConnectionInfo{Connected: true, C2DCount: 2})
	if err != nil || json.Unmarshal(data, &doc) != nil {
		t.Fatal(err, string(data))
	}
	if doc["connectionState"] != "Connected" || doc["statusReason"] != nil || doc["cloudToDeviceMessageCount"] != 2.0 ||
		doc["lastActivityTime"] != "0001-01-01T00:00:00Z" || doc["status"] != "enabled" {
		t.Errorf("%s", data)
	}
	key := doc["authentication"].(map[string]any)["symmetricKey"].(map[string]any)
	if v, there := key["primaryKey"]; !there || v != nil {
		t.Errorf("an absent key must be null: %s", data)
	}
	i.ID.ModuleID = "m"
	data, err = MarshalIdentity(i, ConnectionInfo{})
	doc = nil
	if err != nil || json.Unmarshal(data, &doc) != nil {
		t.Fatal(err, string(data))
	}
	if _, has := doc["status"]; has || doc["moduleId"] != "m" {
		t.Errorf("modules have no status: %s", data)
	}
	if v, has := doc["managedBy"]; !has || v != nil {
		t.Errorf("managedBy must be null: %s", data)
	}
}
