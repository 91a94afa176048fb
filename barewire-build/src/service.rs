//! Writes the code of a service: its module with a constant for each method and, on request, a client, a trait and a router.
//!
//! The library's `services/route_guide/mod.rs` has the same form, written by hand; a test compares the two.

use std::fmt::Write;

use prost_build::{Comments, Method, Service, ServiceGenerator};

use crate::names::{ServiceModules, constant, method};

/// Writes services for prost.
pub(crate) struct Writer {
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) modules: ServiceModules,
    /// The names of `.proto` files whose Rust types are elsewhere.
    pub(crate) extern_paths: Vec<String>,
}

/// One of the four kinds of call.
struct Kind {
    /// The name of the type.
    name: &'static str,
    /// The function of `Client` and of `Router`.
    function: &'static str,
    words: &'static str,
}

const UNARY: Kind = Kind { name: "Unary", function: "unary", words: "unary" };
const SERVER_STREAMING: Kind =
    Kind { name: "ServerStreaming", function: "server_streaming", words: "server streaming" };
const CLIENT_STREAMING: Kind =
    Kind { name: "ClientStreaming", function: "client_streaming", words: "client streaming" };
const BIDI_STREAMING: Kind =
    Kind { name: "BidiStreaming", function: "bidi_streaming", words: "bidirectional streaming" };

fn kind(method: &Method) -> Kind {
    match (method.client_streaming, method.server_streaming) {
        (false, false) => UNARY,
        (false, true) => SERVER_STREAMING,
        (true, false) => CLIENT_STREAMING,
        (true, true) => BIDI_STREAMING,
    }
}

impl ServiceGenerator for Writer {
    fn generate(&mut self, service: Service, buf: &mut String) {
        let key = (service.package.clone(), service.proto_name.clone());
        let module = self.modules.get(&key).cloned().unwrap_or_else(|| service.proto_name.clone());
        let mut code = Code(buf);
        code.line(0, "");
        code.docs(0, &service.comments, &format!("The methods of `{}`.", full_name(&service)));
        if service.options.deprecated() {
            code.line(0, "#[deprecated]");
        }
        code.line(0, "#[allow(clippy::all, clippy::pedantic, dead_code, deprecated)]");
        code.line(0, &format!("pub mod {module} {{"));
        for (place, each) in service.methods.iter().enumerate() {
            if place > 0 {
                code.line(0, "");
            }
            self.constant(&mut code, &service, each);
        }
        if self.client {
            self.client(&mut code, &service);
        }
        if self.server {
            self.server(&mut code, &service);
            router(&mut code, &service);
        }
        code.line(0, "}");
    }
}

impl Writer {
    fn constant(&self, code: &mut Code<'_>, service: &Service, each: &Method) {
        let (name, kind) = (constant(&each.name), kind(each));
        let (request, response) = (self.request(each), self.response(each));
        let (service_name, proto_name) = (full_name(service), &each.proto_name);
        code.docs(1, &each.comments, &format!("The {} method `{proto_name}`.", kind.words));
        if each.options.deprecated() {
            code.line(1, "#[deprecated]");
        }
        let kind = kind.name;
        code.line(1, &format!("pub const {name}: ::barewire::Method<{request}, {response}, ::barewire::{kind}> ="));
        code.line(2, &format!("::barewire::Method::new(\"/{service_name}/{proto_name}\");"));
    }

    fn client(&self, code: &mut Code<'_>, service: &Service) {
        let (client, full) = (format!("{}Client", service.name), full_name(service));
        code.lines(
            1,
            &format!(
                "
/// A client of `{full}`.
#[derive(Clone, Debug)]
pub struct {client} {{
    client: ::barewire::Client,
}}

impl {client} {{
    /// Returns a client of `{full}` that uses this client.
    pub fn new(client: ::barewire::Client) -> {client} {{
        {client} {{ client }}
    }}

    /// Returns a client with other options for its calls.
    #[must_use]
    pub fn with(&self, options: ::barewire::CallOptions) -> {client} {{
        {client} {{ client: self.client.with(options) }}
    }}"
            ),
        );
        for each in &service.methods {
            let (name, kind) = (method(&each.name), kind(each));
            let (request, response) = (self.request(each), self.response(each));
            let (parameter, argument) = match each.client_streaming {
                false => (format!(", request: {request}"), ", request"),
                true => (String::new(), ""),
            };
            let inbound = format!("::barewire::Inbound<{response}>");
            let (output, error) = match kind.name {
                "Unary" => (format!("::barewire::Response<{response}>"), "the status of the call"),
                "ServerStreaming" => (inbound, "the reason why the call could not start"),
                "ClientStreaming" => (
                    format!("(::barewire::Outbound<{request}>, ::barewire::client::Answer<{response}>)"),
                    "the reason why the call could not start",
                ),
                _ => {
                    (format!("(::barewire::Outbound<{request}>, {inbound})"), "the reason why the call could not start")
                }
            };
            code.line(0, "");
            code.docs(2, &each.comments, &format!("Calls the {} method `{}`.", kind.words, each.proto_name));
            code.lines(2, &format!("///\n/// Errors: {error}."));
            if each.options.deprecated() {
                code.line(2, "#[deprecated]");
            }
            code.line(2, &format!("pub async fn {name}(&self{parameter}) -> {} {{", result(&output)));
            code.line(3, &format!("self.client.{}({}{argument}).await", kind.function, constant(&each.name)));
            code.line(2, "}");
        }
        code.line(1, "}");
    }

    fn server(&self, code: &mut Code<'_>, service: &Service) {
        let (name, full) = (&service.name, full_name(service));
        code.lines(
            1,
            &format!(
                "
/// A server of `{full}`. An implementation writes its handlers as `async fn`.
pub trait {name}: ::core::marker::Send + ::core::marker::Sync + 'static {{"
            ),
        );
        for (place, each) in service.methods.iter().enumerate() {
            let (request, response) = (self.request(each), self.response(each));
            let input = match each.client_streaming {
                false => format!("request: ::barewire::Request<{request}>"),
                true => format!("requests: ::barewire::Inbound<{request}>"),
            };
            let (input, output) = match each.server_streaming {
                false => (input, format!("::barewire::Response<{response}>")),
                true => (format!("{input}, responses: ::barewire::Outbound<{response}>"), "()".to_owned()),
            };
            if place > 0 {
                code.line(0, "");
            }
            code.line(2, &format!("/// Handles [`{}`].", constant(&each.name)));
            if !each.comments.leading.is_empty() {
                code.line(2, "///");
                code.docs(2, &each.comments, "");
            }
            let output = result(&output);
            code.line(2, &format!("fn {}(&self, {input})", method(&each.name)));
            code.line(2, &format!("-> impl ::core::future::Future<Output = {output}> + ::core::marker::Send;"));
        }
        code.line(1, "}");
    }

    fn request(&self, method: &Method) -> String {
        self.seen_from_module(&method.input_type, &method.input_proto_type)
    }

    fn response(&self, method: &Method) -> String {
        self.seen_from_module(&method.output_type, &method.output_proto_type)
    }

    /// Returns prost's path of a type, which is relative to the package, for use in the module of a service.
    fn seen_from_module(&self, path: &str, proto_name: &str) -> String {
        let is_extern = |prefix: &String| {
            proto_name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let primitive = path == "()" || !path.contains("::") && path.starts_with(|first: char| first.is_lowercase());
        match primitive
            || path.starts_with("::")
            || path.starts_with("crate::")
            || self.extern_paths.iter().any(is_extern)
        {
            true => path.to_owned(),
            false => format!("super::{path}"),
        }
    }
}

fn router(code: &mut Code<'_>, service: &Service) {
    let (name, full) = (&service.name, full_name(service));
    // A type parameter must not hide the trait.
    let parameter = if name == "S" { "T" } else { "S" };
    code.lines(
        1,
        &format!(
            "
/// Returns a router with the methods of `{full}`.
pub fn router<{parameter}: {name}>(service: {parameter}) -> ::barewire::Router<{parameter}> {{
    ::barewire::Router::new(service)"
        ),
    );
    for each in &service.methods {
        let function = kind(each).function;
        code.line(3, &format!(".{function}({}, {parameter}::{})", constant(&each.name), method(&each.name)));
    }
    code.line(1, "}");
}

fn full_name(service: &Service) -> String {
    match service.package.as_str() {
        "" => service.proto_name.clone(),
        package => format!("{package}.{}", service.proto_name),
    }
}

fn result(output: &str) -> String {
    format!("::core::result::Result<{output}, ::barewire::Status>")
}

/// Writes indented lines.
struct Code<'a>(&'a mut String);

impl Code<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        if !text.is_empty() {
            // A String takes all that is written to it.
            let _ = write!(self.0, "{:1$}{text}", "", 4 * depth);
        }
        self.0.push('\n');
    }

    fn lines(&mut self, depth: usize, text: &str) {
        text.lines().for_each(|line| self.line(depth, line));
    }

    /// Writes a comment, or a sentence if there was none.
    fn docs(&mut self, depth: usize, comments: &Comments, instead: &str) {
        match comments.leading.as_slice() {
            [] => self.line(depth, &format!("/// {instead}")),
            lines => lines.iter().for_each(|line| self.line(depth, &format!("/// {}", line.trim_start()))),
        }
    }
}
