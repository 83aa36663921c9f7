package amqphub

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// plainLogin is what SASL PLAIN proved: a hub and a grant on it.
type plainLogin struct {
	hub   *hub.Hub
	grant iothub.Grant
}

// authenticate judges a SASL exchange. PLAIN carries a shared access signature
// as its password; the user name ("policy@sas.root.hub", "device@sas.hub") says
// nothing that the token does not prove, and the C service client writes
// iothubowner whatever its policy, so the token alone decides. The other
// mechanisms prove nothing here: put-token or a certificate does it later.
// Source: IoT Hub, AMQP support (authentication).
func (s *Server) authenticate(ctx context.Context, c amqp.Credentials) (any, error) {
	if c.Mechanism != "PLAIN" {
		return nil, nil
	}
	h, err := s.loginHub(c)
	if err != nil {
		return nil, refuseLogin(c, err)
	}
	grant, err := h.Authenticate(ctx, c.Password)
	if err != nil {
		return nil, refuseLogin(c, err)
	}
	return plainLogin{h, grant}, nil
}

func refuseLogin(c amqp.Credentials, err error) error {
	// The engine logs it as the end of the connection. Who swaps user name and
	// password shall not find the token there.
	user, _, _ := strings.Cut(c.Username, " ")
	return &amqp.SASLRefusal{Code: wire.SASLAuth, Reason: fmt.Sprintf("login of %.128q: %v", user, err)}
}

// loginHub finds the hub that a login is for: by the host name in sasl-init or
// in the TLS handshake, or by the hub in the user name. The hub that every name leads to
// comes after one that answers to a name of its own.
func (s *Server) loginHub(c amqp.Credentials) (*hub.Hub, error) {
	var serverName string
	if c.TLS != nil {
		serverName = c.TLS.ServerName
	}
	var (
		usual, _ = s.hubs("localhost")
		found    *hub.Hub
		err      error
	)
	for _, name := range []string{c.Hostname, serverName, userHub(c.Username)} {
		if name == "" {
			continue
		}
		var h *hub.Hub
		if h, err = s.hubs(name); err != nil {
			continue
		}
		if h != usual {
			return h, nil
		}
		found = h
	}
	if found != nil {
		return found, nil
	}
	if err == nil {
		err = iothub.NewError(iothub.CodeIotHubNotFound, "The connection names no hub.")
	}
	return nil, err
}

// userHub returns the full host name of the hub in a PLAIN user name.
func userHub(user string) string {
	_, name, ok := strings.Cut(user, "@sas.")
	if !ok {
		return ""
	}
	name = strings.TrimPrefix(name, "root.")
	if strings.Contains(name, ".") || strings.EqualFold(name, "localhost") {
		return name
	}
	return name + ".azure-devices.net"
}

func remoteAddr(c net.Conn) string {
	if c == nil || c.RemoteAddr() == nil {
		return ""
	}
	return c.RemoteAddr().String()
}

// protocolOf names the transport for the hub: a WebSocket stream says what it is
// by a method WebSocket.
func protocolOf(c net.Conn) string {
	if w, ok := c.(interface{ WebSocket() bool }); ok && w.WebSocket() {
		return "amqp-ws"
	}
	return "amqp"
}
