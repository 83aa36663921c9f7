package broker

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// CONNACK return codes. Source: MQTT 3.1.1 3.2.2.3.
const (
	connackAccepted       byte = 0
	connackBadProtocol    byte = 1
	connackBadClientID    byte = 2
	connackUnavailable    byte = 3
	connackMalformedLogin byte = 4
	connackNotAuthorized  byte = 5
)

// connectError is a refused CONNECT: the return code for the peer and the reason
// for the log.
type connectError struct {
	code   byte
	reason error
}

func (e *connectError) Error() string { return e.reason.Error() }
func (e *connectError) Unwrap() error { return e.reason }

func refuseConnect(code byte, reason iothub.Code, message string) *connectError {
	return &connectError{code: code, reason: iothub.NewError(reason, "%s", message)}
}

// refuseForError maps an error of the hub to a return code. The SDKs try again
// after 3 and give up for good after 5, so only what the client itself must
// change is 5.
func refuseForError(err error) *connectError {
	if errors.Is(err, hub.ErrUnanswered) {
		return &connectError{code: connackAccepted, reason: err} // no answer at all
	}
	code, e := connackNotAuthorized, iothub.AsError(err)
	if s := e.Code.HTTPStatus(); s >= 500 || s == 429 || e.Code == iothub.CodeConnectionRejectedOnFaultInjection {
		code = connackUnavailable
	}
	return &connectError{code: code, reason: err}
}

// twinError turns an error into the status and body of a twin response.
func twinError(err error, now time.Time) (status int, body []byte) {
	e := iothub.AsError(err)
	body, jsonErr := json.Marshal(struct {
		ErrorCode    int            `json:"errorCode"`
		TrackingID   string         `json:"trackingId"`
		Message      string         `json:"message"`
		Info         map[string]any `json:"info,omitempty"`
		TimestampUTC string         `json:"timestampUtc"`
	}{int(e.Code), trackingID(now), e.Message, e.Info, iothub.FormatTime(now)})
	if jsonErr != nil {
		body = nil
	}
	return e.Code.HTTPStatus(), body
}

func trackingID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return strings.ToUpper(hex.EncodeToString(b[:])) + "-TimeStamp:" + iothub.FormatTime(now)
}

// publicCode returns the number of an error for the log, 0 for what is not ours.
func publicCode(err error) int {
	if e := (*iothub.Error)(nil); errors.As(err, &e) {
		return int(e.Code)
	}
	return 0
}
