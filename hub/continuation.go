package hub

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"

	"github.com/hubnerite/hubnerite/iothub"
)

// continuation is where the next page of a query begins: behind a key, not at a
// count, so that it stays right while rows come and go, and after a restart.
type continuation struct {
	// Key is that of the last row: device and module ID, the values of a group, or the
	// IDs of a job's row.
	Key []string `json:"k,omitempty"`
	// Given is the number of rows so far, for TOP.
	Given int `json:"n,omitempty"`
	// Sum ties the token to its query and shows damage.
	Sum uint32 `json:"s"`
}

func (c continuation) sum(text string) uint32 {
	c.Sum = 0
	body, _ := json.Marshal(c) // texts and numbers only
	return crc32.Update(crc32.ChecksumIEEE(body), crc32.IEEETable, []byte(text))
}

func encodeContinuation(c continuation, text string) string {
	c.Sum = c.sum(text)
	body, _ := json.Marshal(c) // texts and numbers only
	return base64.StdEncoding.EncodeToString(body)
}

// decodeContinuation reads a token of encodeContinuation for the same query. The
// empty token is the beginning. Tokens do not expire. Anything else is ArgumentInvalid.
func decodeContinuation(token, text string) (continuation, error) {
	var c continuation
	if token == "" {
		return c, nil
	}
	body, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil || c.Sum != c.sum(text) || c.Given < 0 {
		return continuation{}, iothub.NewError(iothub.CodeArgumentInvalid, "The continuation token is not one of this query.").WithCause(err)
	}
	return c, nil
}

func idKey(id iothub.ID) []string { return []string{id.DeviceID, id.ModuleID} }

func (c continuation) id() (id iothub.ID) {
	if len(c.Key) == 2 {
		id.DeviceID, id.ModuleID = c.Key[0], c.Key[1]
	}
	return id
}
