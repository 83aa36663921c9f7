package hub

import (
	"fmt"
	"slices"
	"strings"
)

// FaultAction is what a fault rule does.
type FaultAction string

// Actions of fault rules.
const (
	// FaultDrop loses what was asked: it is not done and not answered.
	FaultDrop FaultAction = "drop"
	// FaultDelay does it later, in real time.
	FaultDelay FaultAction = "delay"
	// FaultDuplicate does it twice.
	FaultDuplicate FaultAction = "duplicate"
	// FaultRefuse answers with an error of the catalogue.
	FaultRefuse FaultAction = "refuse"
	// FaultThrottle refuses what comes faster than a rate.
	FaultThrottle FaultAction = "throttle"
	// FaultDisconnect resets the connection.
	FaultDisconnect FaultAction = "disconnect"
	// FaultHalfOpen leaves the socket open and nobody behind it.
	FaultHalfOpen FaultAction = "halfOpen"
	// FaultCertificate shows a bad certificate.
	FaultCertificate FaultAction = "certificate"
)

// FaultActions returns all actions.
func FaultActions() []FaultAction {
	return []FaultAction{FaultDrop, FaultDelay, FaultDuplicate, FaultRefuse, FaultThrottle, FaultDisconnect, FaultHalfOpen, FaultCertificate}
}

// Operations of fault rules. That of a request of the service API is its method and the pattern of its path, such as
// "GET /twins/{deviceID}"; FaultOnREST stands for all of them.
const (
	FaultOnTelemetry        = "telemetry"
	FaultOnC2D              = "c2d"
	FaultOnC2DSend          = "c2d-send"
	FaultOnFeedback         = "feedback"
	FaultOnFileNotification = "file-notification"
	FaultOnMethod           = "method"
	FaultOnTwinGet          = "twin-get"
	FaultOnTwinReport       = "twin-report"
	FaultOnTwinDesired      = "twin-desired"
	FaultOnConnect          = "connect"
	FaultOnREST             = "rest"
	FaultOnEvents           = "events"
	FaultOnHandshake        = "handshake"
)

// FaultOperation is what fault rules can do to one operation.
type FaultOperation struct {
	Name string
	// Actions are those that it takes, in the order of FaultActions.
	Actions []FaultAction
	// Why says of each other action why the operation does not take it.
	Why map[FaultAction]string
	// Protocols are those over which the operation is there.
	Protocols []string
	// NoDevice says why a rule cannot be about one device; "" when it can.
	NoDevice string
}

// FaultMatrix returns all operations with what rules can do to them. Each of FaultActions is either in Actions or in Why.
func FaultMatrix() []FaultOperation {
	const (
		nobodyAsked = "the hub does this by itself, so there is nobody to answer"
		credit      = "the reader says by its credit how fast it takes; delay slows it down"
		aLog        = "the log has each event once, and readers count on that"
		noAnswer    = "an attempt without an answer is halfOpen"
		codes       = "TLS knows no codes; certificate is what a client refuses"
		queued      = "what back ends receive is of many devices"
	)
	var (
		devices   = []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws"}
		all       = append(slices.Clone(devices), "https")
		service   = []string{"amqp", "amqp-ws"}
		listeners = []string{"mqtt", "amqp", "https"}
	)
	matrix := []FaultOperation{
		{Name: FaultOnTelemetry, Protocols: all},
		{Name: FaultOnC2D, Protocols: all, Why: map[FaultAction]string{
			FaultRefuse: nobodyAsked + "; over HTTPS the request is GET /devices/{deviceID}/messages/devicebound", FaultThrottle: nobodyAsked + "; delay slows it down",
		}},
		{Name: FaultOnC2DSend, Protocols: service},
		{Name: FaultOnFeedback, Protocols: service, NoDevice: queued, Why: map[FaultAction]string{FaultThrottle: credit}},
		{Name: FaultOnFileNotification, Protocols: service, NoDevice: queued, Why: map[FaultAction]string{FaultThrottle: credit}},
		{Name: FaultOnMethod, Protocols: devices},
		{Name: FaultOnTwinGet, Protocols: devices, Why: map[FaultAction]string{FaultDuplicate: "reading twice is not to be noticed, and a second answer is for nobody"}},
		{Name: FaultOnTwinReport, Protocols: devices},
		{Name: FaultOnTwinDesired, Protocols: devices, Why: map[FaultAction]string{FaultRefuse: nobodyAsked, FaultThrottle: nobodyAsked + "; delay slows it down"}},
		{Name: FaultOnConnect, Protocols: devices, Why: map[FaultAction]string{
			FaultDrop: noAnswer, FaultDuplicate: "an identity has one connection: a second one ends the first",
		}},
		{Name: FaultOnREST, Protocols: []string{"https"}, Why: map[FaultAction]string{
			FaultDrop: "a request without an answer is halfOpen, or disconnect", FaultDuplicate: "what can be done twice has operations of its own",
		}},
		{Name: FaultOnEvents, Protocols: service, NoDevice: "a partition has the events of many devices", Why: map[FaultAction]string{
			FaultDrop: aLog, FaultDuplicate: aLog, FaultThrottle: credit,
		}},
		{Name: FaultOnHandshake, Protocols: listeners, NoDevice: "in the TLS handshake there is no device yet", Why: map[FaultAction]string{
			FaultDrop: noAnswer, FaultDuplicate: "there is one handshake", FaultRefuse: codes, FaultThrottle: codes,
		}},
	}
	for i := range matrix {
		o := &matrix[i]
		if o.Why == nil {
			o.Why = map[FaultAction]string{}
		}
		if o.Name != FaultOnHandshake {
			o.Why[FaultCertificate] = "certificates are shown in the TLS handshake"
		}
		for _, a := range FaultActions() {
			if o.Why[a] == "" {
				o.Actions = append(o.Actions, a)
			}
		}
	}
	return matrix
}

// faultOperation returns the row of a rule's operation.
func faultOperation(name string) (FaultOperation, error) {
	row := name
	if strings.Contains(name, " /") {
		row = FaultOnREST
	}
	var names []string
	for _, o := range FaultMatrix() {
		if o.Name == row {
			return o, nil
		}
		names = append(names, o.Name)
	}
	return FaultOperation{}, fmt.Errorf("operation %q is none of %s, nor a request such as GET /twins/{deviceID}", name, strings.Join(names, ", "))
}

// check says why the operation does not take a rule.
func (o *FaultOperation) check(r *FaultRule) error {
	switch {
	case !slices.Contains(FaultActions(), r.Action):
		return fmt.Errorf("action %q is none of %v", r.Action, FaultActions())
	case o.Why[r.Action] != "":
		return fmt.Errorf("%s does not take %s: %s; it takes %v", o.Name, r.Action, o.Why[r.Action], o.Actions)
	case o.NoDevice != "" && devicePattern(r.Device) != "":
		return fmt.Errorf("%s is not about a device: %s", o.Name, o.NoDevice)
	}
	for _, p := range r.Protocols {
		switch {
		case slices.Contains(o.Protocols, p):
		case slices.Contains([]string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}, p):
			return fmt.Errorf("%s is not there over %s, only over %s", o.Name, p, strings.Join(o.Protocols, ", "))
		default:
			return fmt.Errorf("protocol %q is none of mqtt, mqtt-ws, amqp, amqp-ws, https", p)
		}
	}
	return nil
}
