package iothub

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The catalogue: every code has a name of its own, an HTTP status that exists
// and an AMQP condition of a known family.
func TestErrorCatalogue(t *testing.T) {
	names := map[string]Code{}
	last := Code(0)
	for _, c := range Codes() {
		if c <= last {
			t.Errorf("%d comes after %d", c, last)
		}
		last = c
		if other, twice := names[c.String()]; twice || c.String() == "Unknown" {
			t.Errorf("%d has the name %s of %d", c, c, other)
		}
		names[c.String()] = c
		if status := c.HTTPStatus(); http.StatusText(status) == "" && status != 499 {
			t.Errorf("%d: there is no HTTP status %d", c, status)
		}
		if cond := c.AMQPCondition(); !strings.HasPrefix(cond, "amqp:") && !strings.HasPrefix(cond, "com.microsoft:") {
			t.Errorf("%d: condition %q", c, cond)
		}
	}
	if Code(1).String() != "Unknown" {
		t.Error("an unknown code has a name")
	}
}

func TestErrorConditions(t *testing.T) {
	for code, want := range map[Code]string{
		CodeDeviceNotFound:                            "amqp:not-found",
		CodeModuleNotFound:                            "amqp:not-found",
		CodeIotHubUnauthorizedAccess:                  "amqp:unauthorized-access",
		CodeDeviceDisabled:                            "amqp:unauthorized-access",
		CodeDeviceMaximumQueueDepthExceeded:           "amqp:resource-limit-exceeded",
		CodeMessageTooLarge:                           "amqp:link:message-size-exceeded",
		CodeDeviceMessageLockLost:                     "com.microsoft:message-lock-lost",
		CodeThrottlingException:                       "com.microsoft:device-container-throttled",
		CodeGenericNotImplemented:                     "amqp:not-implemented",
		CodeServerError:                               "amqp:internal-error",
		CodeConnectionForcefullyClosedOnNewConnection: "amqp:link:stolen",
	} {
		if got := code.AMQPCondition(); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

func TestErrorWrapping(t *testing.T) {
	e := NewError(CodeDeviceNotFound, "Device %s", "d").WithCause(io.EOF)
	wrapped := fmt.Errorf("outer: %w", e)
	if !errors.Is(wrapped, &Error{Code: CodeDeviceNotFound}) || !errors.Is(wrapped, io.EOF) {
		t.Error("code or cause is lost in the chain")
	}
	if errors.Is(wrapped, &Error{Code: CodeServerError}) {
		t.Error("another code matches")
	}
	if ErrorCode(wrapped) != CodeDeviceNotFound || AsError(wrapped) != e {
		t.Error("the error is not found in its chain")
	}
	inner := AsError(errors.New("secret path"))
	if inner.Code != CodeServerError || strings.Contains(inner.Message, "secret") {
		t.Errorf("an inner error shows: %q", inner.Message)
	}
}
