package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// FileUpload are the file upload properties of a hub.
// Source: IoT Hub devguide, file upload notification configuration options.
type FileUpload struct {
	SASTTL           string `json:"sasTtl" doc:"How long a device may write a file that it announced, 1m to 24h." example:"1h0m0s"`
	Notifications    bool   `json:"notifications" doc:"Whether back ends are told of files."`
	NotificationTTL  string `json:"notificationTtl" doc:"How long a notification waits for a back end, 1m to 48h." example:"1h0m0s"`
	Lock             string `json:"lock" doc:"How long a back end that receives a notification has for settling it, 5s to 300s." example:"1m0s"`
	MaxDeliveryCount int    `json:"maxDeliveryCount" doc:"How often a notification may be abandoned, 1 to 100." example:"10"`
}

// FileUploadBody is a change of them. What is not given stays.
type FileUploadBody struct {
	SASTTL           string `json:"sasTtl,omitempty" doc:"A duration such as 90s or 1h30m, or a number of seconds." example:"2m"`
	Notifications    *bool  `json:"notifications,omitempty"`
	NotificationTTL  string `json:"notificationTtl,omitempty" doc:"A duration, too." example:"30m"`
	Lock             string `json:"lock,omitempty" doc:"A duration, too." example:"30s"`
	MaxDeliveryCount *int   `json:"maxDeliveryCount,omitempty" example:"3"`
}

type fileUploadOutput struct{ Body FileUpload }

func (s *server) registerFileUpload() {
	huma.Register(s.api, huma.Operation{
		OperationID: "fileUpload", Method: http.MethodGet, Path: "/file-upload", Summary: "The file upload properties",
	}, func(ctx context.Context, _ *struct{}) (*fileUploadOutput, error) { return s.fileUpload(ctx), nil })
	huma.Register(s.api, huma.Operation{
		OperationID: "setFileUpload", Method: http.MethodPut, Path: "/file-upload", Summary: "Change the file upload properties",
		Description: "Until the hub ends or is reset; then those of the command line hold again. Uploads that are under way keep their time.",
		Errors:      []int{http.StatusBadRequest},
	}, func(ctx context.Context, in *struct{ Body FileUploadBody }) (*fileUploadOutput, error) {
		settings := s.hub(ctx).FileUploadSettings()
		for _, d := range []struct {
			name, text string
			value      *time.Duration
		}{
			{"sasTtl", in.Body.SASTTL, &settings.SASTTL},
			{"notificationTtl", in.Body.NotificationTTL, &settings.NotificationTTL},
			{"lock", in.Body.Lock, &settings.NotificationLock},
		} {
			if d.text == "" {
				continue
			}
			var err error
			if *d.value, err = parseDuration(d.text); err != nil {
				return nil, huma.Error422UnprocessableEntity("validation failed",
					&huma.ErrorDetail{Message: err.Error(), Location: "body." + d.name, Value: d.text})
			}
		}
		if in.Body.Notifications != nil {
			settings.Notifications = *in.Body.Notifications
		}
		if in.Body.MaxDeliveryCount != nil {
			settings.NotificationMaxDeliveryCount = *in.Body.MaxDeliveryCount
		}
		if err := s.hub(ctx).SetFileUploadSettings(settings); err != nil {
			return nil, s.problem(err)
		}
		return s.fileUpload(ctx), nil
	})
}

func (s *server) fileUpload(ctx context.Context) *fileUploadOutput {
	settings := s.hub(ctx).FileUploadSettings()
	return &fileUploadOutput{FileUpload{
		SASTTL: settings.SASTTL.String(), Notifications: settings.Notifications, NotificationTTL: settings.NotificationTTL.String(),
		Lock: settings.NotificationLock.String(), MaxDeliveryCount: settings.NotificationMaxDeliveryCount,
	}}
}
