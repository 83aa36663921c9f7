package amqphub

import (
	"net/http"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// newCBS returns the $cbs node of a connection. Credit and size are those that
// the service announces.
func newCBS(p *peer) *amqp.RequestNode {
	return &amqp.RequestNode{
		Serve:      func(r *amqp.Request) { p.servePutToken(r) },
		Acceptance: amqp.Acceptance{Credit: 100, MaxMessageSize: 1 << 20},
	}
}

// attachCBS answers a link of $cbs, and remembers it for fault injection.
func (p *peer) attachCBS(a *amqp.Attach) (*amqp.Acceptance, error) {
	acceptance, err := p.cbs.Attach(a)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if a.Receiver != nil {
			p.cbsRequests = a.Receiver
		} else {
			p.cbsAnswers = a.Sender
		}
	}
	return acceptance, err
}

// servePutToken answers one request on $cbs. The status code must be an AMQP
// int: most clients compare types. A refusal is an answer, not an error of the
// link, and leaves earlier tokens in force.
// Source: OASIS AMQP Claims-based Security 1.0; IoT Hub, AMQP support.
func (p *peer) servePutToken(r *amqp.Request) {
	status, description := int32(http.StatusOK), "OK"
	if err := p.putToken(r); err != nil {
		e := iothub.AsError(err)
		status, description = int32(e.Code.HTTPStatus()), string(p.refuse("put-token", err).Description)
	}
	reply, err := cbsReply(r, status, description)
	if err == nil {
		err = r.Reply(reply)
	}
	if err != nil {
		p.log.Debug("put-token not answered", "err", err)
	}
}

func (p *peer) putToken(r *amqp.Request) error {
	properties, err := r.Message.ApplicationProperties()
	if err != nil {
		return invalid("the application properties cannot be decoded")
	}
	operation, _ := properties.Text("operation")
	tokenType, _ := properties.Text("type")
	switch {
	case operation != "put-token":
		return invalid("operation must be put-token, not %q", operation)
	case strings.EqualFold(tokenType, "jwt"):
		p.hub().CountUnsupported("AMQP put-token with a Microsoft Entra token")
		return iothub.NewError(iothub.CodeGenericNotImplemented, "Hubnerite does not implement Microsoft Entra tokens.")
	case !strings.HasSuffix(strings.ToLower(tokenType), ":sastoken"):
		return invalid("the token type %q is not known", tokenType)
	}
	value, err := r.Message.Value()
	token, isText := value.(string)
	if err != nil || !isText {
		return invalid("the body must be an amqp-value string")
	}
	if audience, ok := properties.Text("name"); ok {
		p.choose(entityOf(audience))
	}
	grant, err := p.hub().Authenticate(p.hubContext(), token)
	if err == nil && grant.Policy == "" {
		// The key of a device that may not connect proves nothing.
		grant, err = p.hub().AuthenticateDevice(p.hubContext(), grant.Identity, hub.Credential{Token: token})
	}
	if err != nil {
		return err
	}
	return p.grant(grant)
}

func invalid(format string, args ...any) error {
	return iothub.NewError(iothub.CodeArgumentInvalid, "put-token: "+format+".", args...)
}

// cbsReply builds the answer: the request's message ID, with its type, as
// correlation ID, the reply address when one was given, and the status.
func cbsReply(r *amqp.Request, status int32, description string) ([]byte, error) {
	b, err := wire.AppendProperties(nil, &wire.Properties{To: r.Properties.ReplyTo, CorrelationID: r.Properties.MessageID})
	if err != nil {
		return nil, err
	}
	b, err = wire.AppendApplicationProperties(b, wire.Map{}.Add("status-code", status).Add("status-description", description))
	if err != nil {
		return nil, err
	}
	return wire.AppendValueSection(b, nil)
}
