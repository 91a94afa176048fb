// Services for operators and details of errors, with grpc-go's own client and server.
//
//	services -details FILE -serve            serves the unary call of the test service, which fails with the details in FILE
//	services -details FILE -server ADDRESS   runs the cases against a server, and prints PASS or FAIL for each
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // the types of the details
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // the client of the channel's health checks
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

const everyDetail = "x-error-details"

type testService struct {
	testpb.UnimplementedTestServiceServer
	failure *spb.Status
}

func (s testService) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if received, _ := metadata.FromIncomingContext(ctx); len(received.Get(everyDetail)) > 0 {
		return nil, status.ErrorProto(s.failure)
	}
	return &testpb.SimpleResponse{}, nil
}

func serve(failure *spb.Status) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, testService{failure: failure})
	fmt.Printf("listening on %s\n", listener.Addr())
	return server.Serve(listener)
}

// errorDetails makes our server fail with every detail, and compares what grpc-go reads.
func errorDetails(ctx context.Context, channel *grpc.ClientConn, expected *spb.Status) error {
	ctx = metadata.AppendToOutgoingContext(ctx, everyDetail, "please")
	_, err := testpb.NewTestServiceClient(channel).UnaryCall(ctx, &testpb.SimpleRequest{})
	received := status.Convert(err)
	if received.Code() != codes.Code(expected.Code) || received.Message() != expected.Message {
		return fmt.Errorf("%v", received)
	}
	wanted, read := status.FromProto(expected).Details(), received.Details()
	if len(read) != len(wanted) {
		return fmt.Errorf("%d details, expected %d", len(read), len(wanted))
	}
	for i := range read {
		message, isKnown := read[i].(proto.Message)
		// The last one is of a type that no program knows.
		if isKnown != (i < len(read)-1) {
			return fmt.Errorf("detail %d: %v", i, read[i])
		}
		if isKnown && !proto.Equal(message, wanted[i].(proto.Message)) {
			return fmt.Errorf("%v, expected %v", message, wanted[i])
		}
	}
	if !proto.Equal(received.Proto(), expected) {
		return fmt.Errorf("%v, expected %v", received.Proto(), expected)
	}
	return nil
}

func check(ctx context.Context, channel *grpc.ClientConn) error {
	client := healthpb.NewHealthClient(channel)
	for _, service := range []string{"", "grpc.testing.TestService"} {
		answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.Status != healthpb.HealthCheckResponse_SERVING {
			return fmt.Errorf("%q: %v, %v", service, answer, err)
		}
	}
	if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "no.Such"}); status.Code(err) != codes.NotFound {
		return fmt.Errorf("unknown service: %v", err)
	}
	return nil
}

func list(ctx context.Context, channel *grpc.ClientConn) error {
	listed, err := healthpb.NewHealthClient(channel).List(ctx, &healthpb.HealthListRequest{})
	if err != nil {
		return err
	}
	if listed.Statuses["grpc.testing.TestService"].GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("%v", listed)
	}
	return nil
}

func watch(ctx context.Context, channel *grpc.ClientConn) error {
	for service, expected := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"":        healthpb.HealthCheckResponse_SERVING,
		"no.Such": healthpb.HealthCheckResponse_SERVICE_UNKNOWN,
	} {
		changes, err := healthpb.NewHealthClient(channel).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			return err
		}
		if first, err := changes.Recv(); err != nil || first.Status != expected {
			return fmt.Errorf("%q: %v, %v", service, first, err)
		}
	}
	return nil
}

// healthChecked lets grpc-go's own health checks (gRFC A17) decide whether the server may be used, by the service's Watch.
func healthChecked(ctx context.Context, address string) error {
	config := `{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"grpc.testing.TestService"}}`
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	channel, err := grpc.NewClient(address, plain, grpc.WithDefaultServiceConfig(config))
	if err != nil {
		return err
	}
	defer channel.Close()
	_, err = testpb.NewTestServiceClient(channel).EmptyCall(ctx, &testpb.Empty{}, grpc.WaitForReady(true))
	return err
}

func run(address string, expected *spb.Status) int {
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	failed := 0
	for _, each := range []struct {
		name    string
		outcome error
	}{
		{"check", check(ctx, channel)},
		{"list", list(ctx, channel)},
		{"watch", watch(ctx, channel)},
		{"health_checked_channel", healthChecked(ctx, address)},
		{"error_details", errorDetails(ctx, channel, expected)},
	} {
		if each.outcome == nil {
			fmt.Printf("PASS %s\n", each.name)
		} else {
			failed = 1
			fmt.Printf("FAIL %s: %v\n", each.name, each.outcome)
		}
	}
	return failed
}

func main() {
	details := flag.String("details", "", "a google.rpc.Status in text format")
	serves := flag.Bool("serve", false, "be the server")
	address := flag.String("server", "", "the server to test")
	flag.Parse()
	failure := &spb.Status{}
	text, err := os.ReadFile(*details)
	if err == nil {
		err = prototext.Unmarshal(text, failure)
	}
	if err == nil && *serves {
		err = serve(failure)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(run(*address, failure))
}
