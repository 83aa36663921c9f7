package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"

	"github.com/hubnerite/hubnerite/iothub"
)

// exportConfigurations writes a line for each configuration.
// Source: IoT Hub, import and export device identities in bulk (configurations).
func (h *Hub) exportConfigurations(ctx context.Context, out *bufio.Writer) error {
	all, err := h.Configurations(ctx, 0)
	if err != nil {
		return err
	}
	for _, c := range all {
		line, err := iothub.MarshalConfiguration(c.Configuration, c.System, c.Custom)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\r', '\n')); err != nil {
			return err
		}
	}
	return nil
}

// importConfiguration makes the configuration of a line, or updates the one that
// is there when it has the line's etag. The line's ID is returned as far as it can be read.
func (h *Hub) importConfiguration(ctx context.Context, line []byte) (id string, err error) {
	var head struct {
		ID, ETag string
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return "", iothub.NewError(iothub.CodeDeserializationError, "The line is not a configuration: %s.", err)
	}
	line = bytes.Clone(line)
	_, err = h.PutConfiguration(ctx, head.ID, line, "")
	if iothub.ErrorCode(err) == iothub.CodeConfigurationAlreadyExists && head.ETag != "" {
		_, err = h.PutConfiguration(ctx, head.ID, line, `"`+head.ETag+`"`)
	}
	return head.ID, err
}
