package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// The Java client for digital twins compares the names of headers by case.
func TestHeaderNames(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, w.request(http.MethodGet, "/digitaltwins/d?"+testVersion, "",
		"Authorization", token(t, "iothubowner", testHost, time.Now().Add(time.Hour))))
	header := map[string][]string(rec.Result().Header) // as it is, and not as Go would write it
	if rec.Code != http.StatusOK || len(header["ETag"]) != 1 || len(header["Etag"]) != 0 {
		t.Errorf("%d %v", rec.Code, header)
	}
}
