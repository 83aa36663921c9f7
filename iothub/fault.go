package iothub

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// FaultType is a fault that a device asks for, as the SDKs spell it.
type FaultType string

// Fault types. Source: the fault injection tests of the C, C#, Java, Node and Python SDKs.
const (
	FaultKillTCP               FaultType = "KillTcp"
	FaultKillAMQPConnection    FaultType = "KillAmqpConnection"
	FaultKillAMQPSession       FaultType = "KillAmqpSession"
	FaultKillAMQPCBSReqLink    FaultType = "KillAmqpCBSLinkReq"
	FaultKillAMQPCBSRespLink   FaultType = "KillAmqpCBSLinkResp"
	FaultKillAMQPTelemetryLink FaultType = "KillAmqpD2CLink"
	FaultKillAMQPC2DLink       FaultType = "KillAmqpC2DLink"
	FaultKillAMQPTwinReqLink   FaultType = "KillAmqpTwinLinkReq"
	FaultKillAMQPTwinRespLink  FaultType = "KillAmqpTwinLinkResp"
	// FaultKillAMQPMethodReqLink ends the link on which calls come to the device.
	FaultKillAMQPMethodReqLink FaultType = "KillAmqpMethodReqLink"
	// FaultKillAMQPMethodRespLink ends the link on which the device answers them.
	FaultKillAMQPMethodRespLink FaultType = "KillAmqpMethodRespLink"
	FaultShutDownAMQP           FaultType = "ShutDownAmqp"
	FaultShutDownMQTT           FaultType = "ShutDownMqtt"
	FaultThrottling             FaultType = "InvokeThrottling"
	// FaultQuota also goes by the name InvokeQuotaExceeded.
	FaultQuota FaultType = "InvokeMaxMessageQuota"
	FaultAuth  FaultType = "InvokeAuthError"
)

// FaultTypes returns all fault types.
func FaultTypes() []FaultType {
	return []FaultType{
		FaultKillTCP, FaultKillAMQPConnection, FaultKillAMQPSession, FaultKillAMQPCBSReqLink, FaultKillAMQPCBSRespLink,
		FaultKillAMQPTelemetryLink, FaultKillAMQPC2DLink, FaultKillAMQPTwinReqLink, FaultKillAMQPTwinRespLink,
		FaultKillAMQPMethodReqLink, FaultKillAMQPMethodRespLink, FaultShutDownAMQP, FaultShutDownMQTT,
		FaultThrottling, FaultQuota, FaultAuth,
	}
}

// Limits of faults. What is longer counts as these: one of the Java SDK's tests
// asks for 100,000 seconds.
const (
	MaxFaultDelay    = time.Hour
	MaxFaultDuration = 24 * time.Hour
)

// DefaultInvokeDuration is how long an Invoke fault lasts that does not say it.
const DefaultInvokeDuration = 5 * time.Second

// Application properties of a message that asks for a fault.
const (
	FaultTypeProperty        = "AzIoTHub_FaultOperationType"
	FaultCloseReasonProperty = "AzIoTHub_FaultOperationCloseReason"
	FaultDelayProperty       = "AzIoTHub_FaultOperationDelayInSecs"
	FaultDurationProperty    = "AzIoTHub_FaultOperationDurationInSecs"
)

// Fault is what a telemetry message with these properties asks for.
type Fault struct {
	Type FaultType
	// CloseReason is any text, for the log and the error that the client sees.
	CloseReason string
	// Delay is the time from the message to the fault, Duration how long the
	// fault then lasts; 0 to MaxFaultDelay and MaxFaultDuration.
	Delay, Duration time.Duration
}

// NamesFault reports whether a message has the property that asks for a fault.
// The telemetry path calls it for every message: it looks at the lengths of the names.
func NamesFault(p Properties) bool {
	for i := range p {
		if len(p[i].Name) == len(FaultTypeProperty) && strings.EqualFold(p[i].Name, FaultTypeProperty) {
			return true
		}
	}
	return false
}

// ParseFault returns the fault that a message asks for. It is false when the
// message asks for none, or for one of an unknown type. Names are compared
// without case, because headers of HTTPS have none. A delay or duration that is
// no number, or negative, is refused with ArgumentInvalid.
func ParseFault(p Properties) (f Fault, ok bool, err error) {
	name, _ := faultProperty(p, FaultTypeProperty)
	if f.Type = faultType(name); f.Type == "" {
		return Fault{}, false, nil
	}
	f.CloseReason, _ = faultProperty(p, FaultCloseReasonProperty)
	if f.Delay, _, err = faultSeconds(p, FaultDelayProperty, MaxFaultDelay); err != nil {
		return Fault{}, false, err
	}
	var given bool
	if f.Duration, given, err = faultSeconds(p, FaultDurationProperty, MaxFaultDuration); err != nil {
		return Fault{}, false, err
	}
	if !given && f.Type.Invokes() {
		f.Duration = DefaultInvokeDuration
	}
	return f, true, nil
}

// faultType finds a type by its name, which some tests of the C SDK spell in another case.
func faultType(name string) FaultType {
	if strings.EqualFold(name, "InvokeQuotaExceeded") {
		return FaultQuota
	}
	for _, t := range FaultTypes() {
		if strings.EqualFold(name, string(t)) {
			return t
		}
	}
	return ""
}

func faultProperty(p Properties, name string) (string, bool) {
	for i := range p {
		if strings.EqualFold(p[i].Name, name) {
			return p[i].Value, true
		}
	}
	return "", false
}

// faultSeconds reads a time in seconds, which may have a fraction.
func faultSeconds(p Properties, name string, most time.Duration) (d time.Duration, given bool, err error) {
	text, given := faultProperty(p, name)
	if !given || text == "" {
		return 0, false, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 {
		return 0, false, NewError(CodeArgumentInvalid, "The property %s must be a number of seconds.", name)
	}
	return time.Duration(min(seconds, most.Seconds()) * float64(time.Second)), true, nil
}

// Invokes reports whether the fault makes the hub refuse what the device sends,
// rather than ending something.
func (t FaultType) Invokes() bool { return t == FaultThrottling || t == FaultQuota || t == FaultAuth }

// EndsConnection reports whether the fault ends the device's connection or AMQP
// session, and not one link.
func (t FaultType) EndsConnection() bool {
	switch t {
	case FaultKillTCP, FaultKillAMQPConnection, FaultKillAMQPSession, FaultShutDownAMQP, FaultShutDownMQTT:
		return true
	}
	return false
}

// AppliesTo reports whether a device that sends over the protocol ("mqtt",
// "mqtt-ws", "amqp", "amqp-ws", "https") can ask for the fault.
func (t FaultType) AppliesTo(protocol string) bool {
	switch {
	case t.Invokes():
		return true
	case t == FaultKillTCP:
		return protocol != "https"
	case t == FaultShutDownMQTT:
		return strings.HasPrefix(protocol, "mqtt")
	}
	return strings.HasPrefix(protocol, "amqp")
}

// Refusal is the error of what the fault refuses while it lasts.
func (t FaultType) Refusal() *Error {
	switch t {
	case FaultThrottling:
		return NewError(CodeThrottlingException, "The request has been throttled by fault injection (%s).", t)
	case FaultQuota:
		return NewError(CodeIotHubQuotaExceeded, "The quota of messages is used up by fault injection (%s).", t)
	case FaultAuth:
		return NewError(CodeIotHubUnauthorizedAccess, "Unauthorized by fault injection (%s).", t)
	}
	return NewError(CodeConnectionRejectedOnFaultInjection, "The connection is rejected by fault injection (%s).", t)
}

// Ending is the error with which the fault ends a connection, session or link.
func (f Fault) Ending() *Error {
	if f.Type.Invokes() {
		return f.Type.Refusal()
	}
	return NewError(CodeConnectionForcefullyClosedOnFaultInjection, "Closed by fault injection (%s): %.128s", f.Type, f.CloseReason)
}
