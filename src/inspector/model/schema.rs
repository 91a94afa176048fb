//! Names from a schema: the message types of a method, and the names of their fields.
//!
//! A [`Schema`] is read from an encoded `google.protobuf.FileDescriptorSet`, which every `.proto` compiler can write,
//! or built by hand. Only the descriptor fields that the inspector needs are read, by their field numbers:
//! <https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::fields::{FieldError, Fields, Payload};
use super::frame::Direction;
use super::text;

/// Methods, messages and enums by their full names. Fields without a name here are shown by number.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    methods: BTreeMap<String, MethodTypes>,
    messages: BTreeMap<Arc<str>, BTreeMap<u32, SchemaField>>,
    enums: BTreeMap<Arc<str>, BTreeMap<i32, Arc<str>>>,
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

    /// Reads the names in an encoded `google.protobuf.FileDescriptorSet`.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] if the bytes are not a valid descriptor set.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, SchemaError> {
        let mut schema = Self::new();
        schema.add_descriptor_set(bytes)?;
        Ok(schema)
    }

    /// Adds the names in an encoded `google.protobuf.FileDescriptorSet`. A later definition of a name replaces an
    /// earlier one.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] if the bytes are not a valid descriptor set; the definitions before the error are added.
    pub fn add_descriptor_set(&mut self, bytes: &[u8]) -> Result<(), SchemaError> {
        parts(bytes, 1)?.into_iter().try_for_each(|file| self.file(file))
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

    /// Adds a field to a message; adds the message if it is new.
    pub fn add_field(&mut self, message: &str, number: u32, name: &str, kind: FieldType) {
        self.messages.entry(shared(message)).or_default().insert(number, SchemaField { name: shared(name), kind });
    }

    /// Adds a value to an enum; adds the enum if it is new.
    pub fn add_enum_value(&mut self, name: &str, number: i32, value: &str) {
        self.enums.entry(shared(name)).or_default().insert(number, shared(value));
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
        self.enums.get(name)?.iter().find(|(_, known)| &***known == value).map(|(number, _)| *number)
    }

    /// Returns the name of an enum value.
    pub fn enum_value(&self, name: &str, number: i32) -> Option<&str> {
        self.enums.get(name)?.get(&number).map(|value| &**value)
    }

    /// `FileDescriptorProto`: package 2, message_type 4, enum_type 5, service 6.
    fn file(&mut self, file: &[u8]) -> Result<(), SchemaError> {
        let package = string(file, 2)?;
        for message in parts(file, 4)? {
            self.message(&package, message, 0)?;
        }
        for enumeration in parts(file, 5)? {
            self.enumeration(&package, enumeration)?;
        }
        for service in parts(file, 6)? {
            self.service(&package, service)?;
        }
        Ok(())
    }

    /// `DescriptorProto`: name 1, field 2, nested_type 3, enum_type 4.
    fn message(&mut self, scope: &str, message: &[u8], depth: usize) -> Result<(), SchemaError> {
        if depth > 32 {
            return Err(SchemaError("messages are declared within messages more than 32 deep".to_owned()));
        }
        let name = join(scope, &string(message, 1)?);
        self.messages.entry(shared(&name)).or_default();
        for field in parts(message, 2)? {
            self.message_field(&name, field)?;
        }
        for nested in parts(message, 3)? {
            self.message(&name, nested, depth + 1)?;
        }
        for enumeration in parts(message, 4)? {
            self.enumeration(&name, enumeration)?;
        }
        Ok(())
    }

    /// `FieldDescriptorProto`: name 1, number 3, type 5, type_name 6.
    fn message_field(&mut self, message: &str, field: &[u8]) -> Result<(), SchemaError> {
        let name = string(field, 1)?;
        let number = u32::try_from(number(field, 3)?).unwrap_or_default();
        let type_name = string(field, 6)?;
        let type_name = shared(type_name.trim_start_matches('.'));
        let kind = match self::number(field, 5)? {
            1 => FieldType::Double,
            2 => FieldType::Float,
            3 => FieldType::Int64,
            4 => FieldType::Uint64,
            5 => FieldType::Int32,
            6 => FieldType::Fixed64,
            7 => FieldType::Fixed32,
            8 => FieldType::Bool,
            9 => FieldType::String,
            10 => FieldType::Group(type_name),
            11 => FieldType::Message(type_name),
            12 => FieldType::Bytes,
            13 => FieldType::Uint32,
            14 => FieldType::Enum(type_name),
            15 => FieldType::Sfixed32,
            16 => FieldType::Sfixed64,
            17 => FieldType::Sint32,
            18 => FieldType::Sint64,
            other => return Err(SchemaError(format!("field {message}.{name} has the type {other}"))),
        };
        self.add_field(message, number, &name, kind);
        Ok(())
    }

    /// `EnumDescriptorProto`: name 1, value 2; `EnumValueDescriptorProto`: name 1, number 2.
    fn enumeration(&mut self, scope: &str, enumeration: &[u8]) -> Result<(), SchemaError> {
        let name = join(scope, &string(enumeration, 1)?);
        for value in parts(enumeration, 2)? {
            self.add_enum_value(&name, number(value, 2)? as i32, &string(value, 1)?);
        }
        Ok(())
    }

    /// `ServiceDescriptorProto`: name 1, method 2; `MethodDescriptorProto`: name 1, input_type 2, output_type 3,
    /// client_streaming 5, server_streaming 6.
    fn service(&mut self, package: &str, service: &[u8]) -> Result<(), SchemaError> {
        let name = join(package, &string(service, 1)?);
        for method in parts(service, 2)? {
            let path = format!("/{name}/{}", string(method, 1)?);
            let (request, response) = (string(method, 2)?, string(method, 3)?);
            self.add_method(&path, request.trim_start_matches('.'), response.trim_start_matches('.'));
            self.set_kind(&path, CallKind::new(number(method, 5)? != 0, number(method, 6)? != 0));
        }
        Ok(())
    }
}

/// Escapes a name for display, because a schema may come from a peer too.
fn shared(name: &str) -> Arc<str> {
    text::plain(name.as_bytes()).into()
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Returns all values of a LEN field, in their order.
fn parts(message: &[u8], number: u32) -> Result<Vec<&[u8]>, SchemaError> {
    let mut found = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        if let (true, Payload::Len(part)) = (field.number == number, field.payload) {
            found.push(part);
        }
    }
    Ok(found)
}

/// Returns the last value of a string field, or the empty default.
fn string(message: &[u8], number: u32) -> Result<String, SchemaError> {
    let last = parts(message, number)?.pop().unwrap_or_default();
    String::from_utf8(last.to_vec()).map_err(|_| SchemaError("a name is not UTF-8".to_owned()))
}

/// Returns the last value of a VARINT field, or the default 0.
fn number(message: &[u8], number: u32) -> Result<u64, SchemaError> {
    let mut last = 0;
    for field in Fields::new(message) {
        let field = field?;
        if let (true, Payload::Varint(value)) = (field.number == number, field.payload) {
            last = value;
        }
    }
    Ok(last)
}

/// The bytes are not a `google.protobuf.FileDescriptorSet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(String);

impl From<FieldError> for SchemaError {
    fn from(error: FieldError) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a descriptor set: {}", self.0)
    }
}

impl Error for SchemaError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of wire type LEN with a number below 16.
    fn len(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, content.len() as u8][..], content].concat()
    }

    fn varint(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    /// A `DescriptorProto` Point with a nested message Inner and a nested enum Kind.
    fn message() -> Vec<u8> {
        let latitude = [len(1, b"latitude"), varint(3, 1), varint(4, 1), varint(5, 5)].concat();
        let kind = [len(1, b"kind"), varint(3, 2), varint(5, 14), len(6, b".demo.Point.Kind")].concat();
        let inner = [len(1, b"Inner"), len(2, &[len(1, b"text"), varint(3, 1), varint(5, 9)].concat())].concat();
        let value = [len(1, b"CITY"), varint(2, 1)].concat();
        let kinds = [len(1, b"Kind"), len(2, &value)].concat();
        [len(1, b"Point"), len(2, &latitude), len(2, &kind), len(3, &inner), len(4, &kinds)].concat()
    }

    fn descriptor_set() -> Vec<u8> {
        let method = [len(1, b"Get"), len(2, b".demo.Point"), len(3, b".demo.Point.Inner"), varint(6, 1)].concat();
        let service = [len(1, b"Guide"), len(2, &method)].concat();
        let file = [len(1, b"demo.proto"), len(2, b"demo"), len(4, &message()), len(6, &service)].concat();
        let mut set = vec![0x0a];
        set.extend([file.len() as u8 & 0x7f | 0x80, (file.len() >> 7) as u8]);
        [set, file, len(1, &len(1, b"empty.proto"))].concat()
    }

    #[test]
    fn methods_messages_and_enums_by_their_full_names() {
        let schema = Schema::from_descriptor_set(&descriptor_set()).unwrap();
        let method = schema.method("/demo.Guide/Get").unwrap();
        assert_eq!((&*method.request, &*method.response), ("demo.Point", "demo.Point.Inner"));
        assert_eq!(method.kind, Some(CallKind::ServerStreaming));
        let latitude = SchemaField { name: "latitude".into(), kind: FieldType::Int32 };
        assert_eq!(schema.field("demo.Point", 1), Some(&latitude));
        assert_eq!(schema.field("demo.Point", 2).unwrap().kind, FieldType::Enum("demo.Point.Kind".into()));
        assert_eq!(&*schema.field("demo.Point.Inner", 1).unwrap().name, "text");
        assert_eq!(schema.field("demo.Point", 3), None);
        assert_eq!(schema.enum_value("demo.Point.Kind", 1), Some("CITY"));
        assert!(schema.knows_message("demo.Point.Inner"));
        assert_eq!(schema.method("/demo.Guide/Put"), None);
    }

    #[test]
    fn what_is_not_a_descriptor_set_is_an_error_and_nothing_else() {
        let set = descriptor_set();
        let failed = (0..set.len()).filter(|&end| Schema::from_descriptor_set(&set[..end]).is_err()).count();
        // A set that is cut at the start of a file is a valid, shorter set.
        assert_eq!(failed, set.len() - 2);
        for at in 0..set.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut broken = set.clone();
                broken[at] ^= change;
                let _ = Schema::from_descriptor_set(&broken);
            }
        }
        let error = Schema::from_descriptor_set(b"not one").unwrap_err();
        assert_eq!(error.to_string(), "not a descriptor set: 6 is not a wire type");
        let mut deep = len(1, b"x");
        for _ in 0..60 {
            deep = [vec![0x1a], vec![deep.len() as u8 & 0x7f | 0x80, (deep.len() >> 7) as u8], deep].concat();
        }
        let file = [vec![0x22, deep.len() as u8 & 0x7f | 0x80, (deep.len() >> 7) as u8], deep].concat();
        let set = [vec![0x0a, file.len() as u8 & 0x7f | 0x80, (file.len() >> 7) as u8], file].concat();
        assert!(Schema::from_descriptor_set(&set).unwrap_err().to_string().contains("32 deep"));
    }
}
