package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/examples/route_guide/routeguide"
)

var berkshire = &pb.Point{Latitude: 409146138, Longitude: -746188906}

func call(arguments []string) error {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	port := flags.Int("port", 0, "the server's port on 127.0.0.1")
	count := flags.Int("count", 1, "how many calls, or how many messages of one call")
	inFlight := flags.Int("in_flight", 1, "how many calls at the same time")
	flags.Parse(arguments)

	connection, err := grpc.NewClient(fmt.Sprintf("passthrough:///127.0.0.1:%d", *port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithSharedWriteBuffer(true))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := pb.NewRouteGuideClient(connection)
	switch method := flags.Arg(0); method {
	case "unary":
		return getFeatures(client, *count, *inFlight)
	case "list":
		return listFeatures(client, *count)
	case "record":
		return recordRoute(client, *count)
	default:
		return fmt.Errorf("unknown method %q", method)
	}
}

func getFeatures(client pb.RouteGuideClient, count, inFlight int) error {
	failures := make(chan error, inFlight)
	var callers sync.WaitGroup
	for caller := range inFlight {
		callers.Go(func() {
			for made := caller; made < count; made += inFlight {
				feature, err := client.GetFeature(context.Background(), berkshire)
				if err == nil && feature.Location.GetLatitude() != berkshire.Latitude {
					err = errors.New("another feature than asked for")
				}
				if err != nil {
					failures <- err
					return
				}
			}
		})
	}
	callers.Wait()
	close(failures)
	return <-failures
}

func listFeatures(client pb.RouteGuideClient, count int) error {
	stream, err := client.ListFeatures(context.Background(), &pb.Rectangle{
		Lo: &pb.Point{Latitude: -900000000, Longitude: -1800000000},
		Hi: &pb.Point{Latitude: 900000000, Longitude: 1800000000},
	})
	if err != nil {
		return err
	}
	for arrived := 0; ; arrived++ {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			if arrived != count {
				return fmt.Errorf("%d features instead of %d", arrived, count)
			}
			return nil
		} else if err != nil {
			return err
		}
	}
}

func recordRoute(client pb.RouteGuideClient, count int) error {
	stream, err := client.RecordRoute(context.Background())
	if err != nil {
		return err
	}
	for range count {
		if err := stream.Send(berkshire); err != nil {
			return err
		}
	}
	summary, err := stream.CloseAndRecv()
	if err == nil && int(summary.PointCount) != count {
		err = fmt.Errorf("%d points instead of %d", summary.PointCount, count)
	}
	return err
}
