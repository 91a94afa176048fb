package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/examples/route_guide/routeguide"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bench.Blobs (proto/blobs.proto), described by hand: an Ask has the fields of a Point, a Blob is a BytesValue.
var blobs = grpc.ServiceDesc{
	ServiceName: "bench.Blobs",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Answer", Handler: answer}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Download", Handler: download, ServerStreams: true},
		{StreamName: "Upload", Handler: upload, ClientStreams: true},
		{StreamName: "Echo", Handler: echo, ServerStreams: true, ClientStreams: true},
	},
}

func zeros(size int32) *wrapperspb.BytesValue {
	return &wrapperspb.BytesValue{Value: largest[:size]}
}

var largest = make([]byte, 16<<20)

func answer(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var ask pb.Point
	if err := decode(&ask); err != nil {
		return nil, err
	}
	return zeros(ask.Latitude), nil
}

func download(_ any, stream grpc.ServerStream) error {
	var ask pb.Point
	if err := stream.RecvMsg(&ask); err != nil {
		return err
	}
	blob := zeros(ask.Latitude)
	for range ask.Longitude {
		if err := stream.SendMsg(blob); err != nil {
			return err
		}
	}
	return nil
}

func upload(_ any, stream grpc.ServerStream) error {
	var arrived pb.Point
	for {
		var blob wrapperspb.BytesValue
		if err := stream.RecvMsg(&blob); errors.Is(err, io.EOF) {
			return stream.SendMsg(&arrived)
		} else if err != nil {
			return err
		}
		arrived.Latitude += int32(len(blob.Value))
		arrived.Longitude++
	}
}

func echo(_ any, stream grpc.ServerStream) error {
	for {
		var blob wrapperspb.BytesValue
		if err := stream.RecvMsg(&blob); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&blob); err != nil {
			return err
		}
	}
}
