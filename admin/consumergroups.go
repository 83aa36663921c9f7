package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// ConsumerGroup is a consumer group of the Event Hubs-compatible endpoint.
type ConsumerGroup struct {
	Name string `json:"name"`
}

type (
	consumerGroupsOutput struct {
		Body struct {
			ConsumerGroups []ConsumerGroup `json:"consumerGroups" nullable:"false"`
		}
	}
	consumerGroupOutput struct{ Body ConsumerGroup }
)

func (s *server) registerConsumerGroups() {
	huma.Register(s.api, huma.Operation{
		OperationID: "consumerGroups", Method: http.MethodGet, Path: "/consumer-groups",
		Summary: "The consumer groups of the Event Hubs-compatible endpoint",
	}, func(ctx context.Context, _ *struct{}) (*consumerGroupsOutput, error) {
		out := new(consumerGroupsOutput)
		for _, name := range s.hub(ctx).ConsumerGroups() {
			out.Body.ConsumerGroups = append(out.Body.ConsumerGroups, ConsumerGroup{name})
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "consumerGroup", Method: http.MethodGet, Path: "/consumer-groups/{name}", Summary: "One consumer group",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*consumerGroupOutput, error) {
		return s.consumerGroup(ctx, in.Name)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "putConsumerGroup", Method: http.MethodPut, Path: "/consumer-groups/{name}", Summary: "Add a consumer group",
		Description: "Kept over restarts. Names are compared without regard to case; one that is there already stays as it is.",
		Errors:      []int{http.StatusBadRequest},
	}, func(ctx context.Context, in *namePath) (*consumerGroupOutput, error) {
		if err := s.hub(ctx).AddConsumerGroup(in.Name); err != nil {
			return nil, s.problem(err)
		}
		return s.consumerGroup(ctx, in.Name)
	})
	s.registerDelete("ConsumerGroup", "/consumer-groups/{name}", "Remove a consumer group", func(h *hub.Hub, _ context.Context, name string) error {
		there, err := h.RemoveConsumerGroup(name)
		if err == nil && !there {
			err = noConsumerGroup(name)
		}
		return err
	})
}

func (s *server) consumerGroup(ctx context.Context, name string) (*consumerGroupOutput, error) {
	stored, ok := s.hub(ctx).ConsumerGroup(name)
	if !ok {
		return nil, s.problem(noConsumerGroup(name))
	}
	return &consumerGroupOutput{ConsumerGroup{stored}}, nil
}

func noConsumerGroup(name string) error {
	return iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no consumer group %.64q.", name)
}
