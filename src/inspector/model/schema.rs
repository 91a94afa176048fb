//! Names from a schema: the message types of a method, and the names of their fields.
//!
//! A [`Schema`] is read from a descriptor set (`descriptor.rs`) or built by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::frame::Direction;
use super::limits::Limits;
use super::text;

/// Methods, messages and enums by their full names. Fields without a name here are shown by number.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    methods: BTreeMap<String, MethodTypes>,
    messages: BTreeMap<Arc<str>, BTreeMap<u32, SchemaField>>,
    enums: BTreeMap<Arc<str>, EnumValues>,
    limits: Limits,
}

/// The values of an enum. With aliases, several names have the same number.
#[derive(Clone, Debug, Default)]
struct EnumValues {
    /// The first name of each number, which is the one to show.
    names: BTreeMap<i32, Arc<str>>,
    numbers: BTreeMap<Arc<str>, i32>,
}

/// The messages of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodTypes {
    /// The full name of the request message: "routeguide.Point".
    pub request: Arc<str>,
    /// The full name of the response message.
    pub response: Arc<str>,
    /// The number of messages each way, if it is known.
    pub kind: Option<CallKind>,
}

/// The number of messages that a call has in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// One request, one response.
    Unary,
    /// One request, any number of responses.
    ServerStreaming,
    /// Any number of requests, one response.
    ClientStreaming,
    /// Any number of requests and responses.
    BidiStreaming,
}

impl CallKind {
    /// Returns the kind of a method, from which sides stream.
    pub fn new(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStreaming,
            (true, false) => Self::ClientStreaming,
            (true, true) => Self::BidiStreaming,
        }
    }

    /// Returns true if this direction carries any number of messages.
    pub fn streams(self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => matches!(self, Self::ClientStreaming | Self::BidiStreaming),
            Direction::ToClient => matches!(self, Self::ServerStreaming | Self::BidiStreaming),
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unary => "unary",
            Self::ServerStreaming => "server streaming",
            Self::ClientStreaming => "client streaming",
            Self::BidiStreaming => "bidi streaming",
        })
    }
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaField {
    /// Its name: "latitude".
    pub name: Arc<str>,
    /// Its type, which determines how its bytes are decoded.
    pub kind: FieldType,
    /// False if the field is declared to have one value. Only a repeated field can be packed: LEN with several numbers
    /// (<https://protobuf.dev/programming-guides/encoding/#packed>).
    pub repeated: bool,
}

/// The type of a field; messages, groups and enums have their full names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FieldType {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group(Arc<str>),
    Message(Arc<str>),
    Bytes,
    Uint32,
    Enum(Arc<str>),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Schema {
    /// An empty schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method by its path: "/routeguide.RouteGuide/GetFeature".
    pub fn add_method(&mut self, path: &str, request: &str, response: &str) {
        let (request, response) = (shared(request), shared(response));
        self.methods.insert(path.to_owned(), MethodTypes { request, response, kind: None });
    }

    /// Sets the kind of a method that was added before.
    pub fn set_kind(&mut self, path: &str, kind: CallKind) {
        if let Some(method) = self.methods.get_mut(path) {
            method.kind = Some(kind);
        }
    }

    /// Adds a field to a message; adds the message if it is new. The field may be repeated, so that packed numbers are
    /// accepted for it.
    pub fn add_field(&mut self, message: &str, number: u32, name: &str, kind: FieldType) {
        self.insert_field(message, number, SchemaField { name: shared(name), kind, repeated: true });
    }

    pub(super) fn insert_field(&mut self, message: &str, number: u32, field: SchemaField) {
        self.messages.entry(shared(message)).or_default().insert(number, field);
    }

    /// Adds a message, or removes the fields of the one with this name. Extensions stay, because another file may have
    /// added them.
    pub(super) fn begin_message(&mut self, name: &str) {
        let fields = self.messages.entry(shared(name)).or_default();
        fields.retain(|_, field| field.name.starts_with('['));
    }

    /// Adds a value to an enum; adds the enum if it is new. If several values have the same number, the first is shown.
    pub fn add_enum_value(&mut self, name: &str, number: i32, value: &str) {
        let (values, value) = (self.enums.entry(shared(name)).or_default(), shared(value));
        values.names.entry(number).or_insert_with(|| value.clone());
        values.numbers.insert(value, number);
    }

    /// Adds an enum, or removes the values of the one with this name.
    pub(super) fn begin_enum(&mut self, name: &str) {
        self.enums.insert(shared(name), EnumValues::default());
    }

    /// Sets the limits of the conversations that are decoded with this schema; see [`Limits`].
    ///
    /// ```
    /// use barewire::inspector::{Limits, Schema};
    ///
    /// let mut schema = Schema::new();
    /// schema.set_limits(Limits { annotations: 100_000, ..Limits::default() });
    /// assert_eq!(schema.limits().annotations, 100_000);
    /// ```
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Returns the limits of the conversations that are decoded with this schema.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the message types of the method at a path.
    pub fn method(&self, path: &str) -> Option<&MethodTypes> {
        self.methods.get(path)
    }

    /// Returns true if the schema has this message, with or without fields.
    pub fn knows_message(&self, name: &str) -> bool {
        self.messages.contains_key(name)
    }

    /// Returns the field with this number of a message.
    pub fn field(&self, message: &str, number: u32) -> Option<&SchemaField> {
        self.fields(message)?.get(&number)
    }

    /// Returns the fields of a message by their numbers.
    pub(crate) fn fields(&self, message: &str) -> Option<&BTreeMap<u32, SchemaField>> {
        self.messages.get(message)
    }

    /// Returns the field with this name of a message, and its number.
    pub fn field_named(&self, message: &str, name: &str) -> Option<(u32, &FieldType)> {
        let mut fields = self.messages.get(message)?.iter();
        fields.find(|(_, field)| &*field.name == name).map(|(number, field)| (*number, &field.kind))
    }

    /// Returns the number of an enum value by its name.
    pub fn enum_number(&self, name: &str, value: &str) -> Option<i32> {
        self.enums.get(name)?.numbers.get(value).copied()
    }

    /// Returns the name of an enum value; of several with this number, the first.
    pub fn enum_value(&self, name: &str, number: i32) -> Option<&str> {
        self.enums.get(name)?.names.get(&number).map(|value| &**value)
    }
}

/// Escapes a name for display, because a schema may come from a peer too.
pub(super) fn shared(name: &str) -> Arc<str> {
    text::plain(name.as_bytes()).into()
}
