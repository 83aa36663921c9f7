package iothub

import (
	"testing"
	"time"
)

func faultProperties(values ...string) Properties {
	names := []string{FaultTypeProperty, FaultCloseReasonProperty, FaultDelayProperty, FaultDurationProperty}
	p := Properties{{"other", "1"}}
	for i, v := range values {
		p = append(p, Property{names[i], v})
	}
	return p
}

func TestParseFault(t *testing.T) {
	for _, tc := range []struct {
		p    Properties
		want Fault
	}{
		{faultProperties("KillTcp", "boom", "2", "5"), Fault{FaultKillTCP, "boom", 2 * time.Second, 5 * time.Second}},
		{faultProperties("ShutDownMqtt", " cleanly ", "5"), Fault{FaultShutDownMQTT, " cleanly ", 5 * time.Second, 0}},
		{faultProperties("KillAmqpc2dLink"), Fault{Type: FaultKillAMQPC2DLink}},
		{faultProperties("InvokeQuotaExceeded", "20", "0.5", "20"), Fault{FaultQuota, "20", 500 * time.Millisecond, 20 * time.Second}},
		{faultProperties("InvokeThrottling", "", "1"), Fault{FaultThrottling, "", time.Second, DefaultInvokeDuration}},
		{faultProperties("InvokeAuthError", "", "1", "0"), Fault{FaultAuth, "", time.Second, 0}},
		{faultProperties("KillTcp", "Boom", "1e9", "1e300"), Fault{FaultKillTCP, "Boom", MaxFaultDelay, MaxFaultDuration}},
		{
			Properties{{"aziothub_faultoperationtype", "killtcp"}, {"aziothub_faultoperationdelayinsecs", "1"}},
			Fault{Type: FaultKillTCP, Delay: time.Second},
		},
	} {
		got, ok, err := ParseFault(tc.p)
		if err != nil || !ok || got != tc.want || !NamesFault(tc.p) {
			t.Errorf("%v: %+v, %v, %v", tc.p, got, ok, err)
		}
	}
	for _, p := range []Properties{nil, {{"a", "b"}}, faultProperties("KillEverything"), {{FaultDelayProperty, "x"}}} {
		if f, ok, err := ParseFault(p); ok || err != nil {
			t.Errorf("%v: %+v, %v, %v", p, f, ok, err)
		}
	}
	for _, p := range []Properties{
		faultProperties("KillTcp", "", "soon"), faultProperties("KillTcp", "", "-1"),
		faultProperties("KillTcp", "", "NaN"), faultProperties("KillTcp", "", "1", "-Inf"), faultProperties("KillTcp", "", "1", "1s"),
	} {
		if f, ok, err := ParseFault(p); ok || ErrorCode(err) != CodeArgumentInvalid {
			t.Errorf("%v: %+v, %v, %v", p, f, ok, err)
		}
	}
	if NamesFault(Properties{{FaultDelayProperty, "1"}, {"a", FaultTypeProperty}}) {
		t.Error("a message without a type names a fault")
	}
}

func TestFaultAppliesTo(t *testing.T) {
	for _, f := range FaultTypes() {
		mqtt, amqp, https := f.AppliesTo("mqtt-ws"), f.AppliesTo("amqp"), f.AppliesTo("https")
		var want [3]bool
		switch f {
		case FaultKillTCP:
			want = [3]bool{true, true, false}
		case FaultShutDownMQTT:
			want = [3]bool{true, false, false}
		case FaultThrottling, FaultQuota, FaultAuth:
			want = [3]bool{true, true, true}
		default:
			want = [3]bool{false, true, false}
		}
		if got := [3]bool{mqtt, amqp, https}; got != want {
			t.Errorf("%s on MQTT, AMQP, HTTPS: %v, want %v", f, got, want)
		}
		if f.Invokes() && f.EndsConnection() {
			t.Errorf("%s is two things", f)
		}
	}
}

func TestFaultErrors(t *testing.T) {
	for f, want := range map[FaultType]struct {
		refusal, ending Code
		condition       string
	}{
		FaultKillTCP:             {CodeConnectionRejectedOnFaultInjection, CodeConnectionForcefullyClosedOnFaultInjection, "amqp:link:detach-forced"},
		FaultKillAMQPTwinReqLink: {CodeConnectionRejectedOnFaultInjection, CodeConnectionForcefullyClosedOnFaultInjection, "amqp:link:detach-forced"},
		FaultThrottling:          {CodeThrottlingException, CodeThrottlingException, "com.microsoft:device-container-throttled"},
		FaultQuota:               {CodeIotHubQuotaExceeded, CodeIotHubQuotaExceeded, "amqp:resource-limit-exceeded"},
		FaultAuth:                {CodeIotHubUnauthorizedAccess, CodeIotHubUnauthorizedAccess, "amqp:unauthorized-access"},
	} {
		refusal, ending := f.Refusal().Code, Fault{Type: f}.Ending().Code
		if refusal != want.refusal || ending != want.ending || refusal.AMQPCondition() != want.condition {
			t.Errorf("%s: %v, %v, %s", f, refusal, ending, refusal.AMQPCondition())
		}
	}
	if c := CodeConnectionForcefullyClosedOnFaultInjection.AMQPCondition(); c != "amqp:link:detach-forced" {
		t.Error(c)
	}
}
