package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

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
	}, func(context.Context, *struct{}) (*consumerGroupsOutput, error) {
		out := new(consumerGroupsOutput)
		for _, name := range s.Hub.ConsumerGroups() {
			out.Body.ConsumerGroups = append(out.Body.ConsumerGroups, ConsumerGroup{name})
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "consumerGroup", Method: http.MethodGet, Path: "/consumer-groups/{name}", Summary: "One consumer group",
		Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *namePath) (*consumerGroupOutput, error) { return s.consumerGroup(in.Name) })
	huma.Register(s.api, huma.Operation{
		OperationID: "putConsumerGroup", Method: http.MethodPut, Path: "/consumer-groups/{name}", Summary: "Add a consumer group",
		Description: "Kept over restarts. Names are compared without regard to case; one that is there already stays as it is.",
		Errors:      []int{http.StatusBadRequest},
	}, func(_ context.Context, in *namePath) (*consumerGroupOutput, error) {
		if err := s.Hub.AddConsumerGroup(in.Name); err != nil {
			return nil, s.problem(err)
		}
		return s.consumerGroup(in.Name)
	})
	s.registerDelete("ConsumerGroup", "/consumer-groups/{name}", "Remove a consumer group", func(_ context.Context, name string) error {
		there, err := s.Hub.RemoveConsumerGroup(name)
		if err == nil && !there {
			err = noConsumerGroup(name)
		}
		return err
	})
}

func (s *server) consumerGroup(name string) (*consumerGroupOutput, error) {
	stored, ok := s.Hub.ConsumerGroup(name)
	if !ok {
		return nil, s.problem(noConsumerGroup(name))
	}
	return &consumerGroupOutput{ConsumerGroup{stored}}, nil
}

func noConsumerGroup(name string) error {
	return iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no consumer group %.64q.", name)
}
