//! Reads a schema from an encoded `google.protobuf.FileDescriptorSet`, which every `.proto` compiler can write.
//!
//! Only the descriptor fields that the inspector needs are read, by their field numbers:
//! <https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>.

use std::error::Error;
use std::fmt;

use super::fields::{FieldError, Fields, Payload};
use super::schema::{CallKind, FieldType, Schema, SchemaField, shared};

impl Schema {
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

    /// `FileDescriptorProto`: package 2, message_type 4, enum_type 5, service 6, extension 7, options 8.
    fn file(&mut self, file: &[u8]) -> Result<(), SchemaError> {
        let package = string(file, 2)?;
        let delimited = is_delimited(file, 8, 50)?.unwrap_or_default();
        for message in parts(file, 4)? {
            self.message(&package, message, delimited, 0)?;
        }
        for enumeration in parts(file, 5)? {
            self.enumeration(&package, enumeration)?;
        }
        for service in parts(file, 6)? {
            self.service(&package, service)?;
        }
        self.extensions(&package, file, 7, delimited)
    }

    /// `DescriptorProto`: name 1, field 2, nested_type 3, enum_type 4, extension 6, options 7; `MessageOptions`: map_entry 7,
    /// features 12. `delimited` is true if message fields are groups, unless an option says otherwise.
    fn message(&mut self, scope: &str, message: &[u8], delimited: bool, depth: usize) -> Result<(), SchemaError> {
        if depth > 32 {
            return Err(SchemaError("messages are declared within messages more than 32 deep".to_owned()));
        }
        let name = join(scope, &string(message, 1)?);
        let delimited = is_delimited(message, 7, 12)?.unwrap_or(delimited);
        self.begin_message(&name);
        let mut entries = Vec::new();
        for nested in parts(message, 3)? {
            let is_entry = number_within(nested, 7, 7)? != 0;
            if is_entry {
                entries.push(join(&name, &string(nested, 1)?));
            }
            self.message(&name, nested, delimited && !is_entry, depth + 1)?;
        }
        for field in parts(message, 2)? {
            let (number, mut field) = message_field(&name, field, delimited)?;
            // A map is encoded as length-prefixed entries, whatever the message encoding of its field.
            if let FieldType::Group(entry) = &field.kind
                && entries.iter().any(|name| **name == **entry)
            {
                field.kind = FieldType::Message(entry.clone());
            }
            self.insert_field(&name, number, field);
        }
        for enumeration in parts(message, 4)? {
            self.enumeration(&name, enumeration)?;
        }
        self.extensions(&name, message, 6, delimited)
    }

    /// Adds the extensions that a file or a message declares to the messages they extend, named as in the text format:
    /// "[package.name]".
    fn extensions(&mut self, scope: &str, within: &[u8], number: u32, delimited: bool) -> Result<(), SchemaError> {
        for extension in parts(within, number)? {
            let extended = string(extension, 2)?;
            let (number, mut field) = message_field(scope, extension, delimited)?;
            field.name = shared(&format!("[{}]", join(scope, &field.name)));
            self.insert_field(extended.trim_start_matches('.'), number, field);
        }
        Ok(())
    }

    /// `EnumDescriptorProto`: name 1, value 2; `EnumValueDescriptorProto`: name 1, number 2.
    fn enumeration(&mut self, scope: &str, enumeration: &[u8]) -> Result<(), SchemaError> {
        let name = join(scope, &string(enumeration, 1)?);
        self.begin_enum(&name);
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

/// Reads a field: its number, and its name and type. `FieldDescriptorProto`: name 1, number 3, label 4, type 5, type_name 6,
/// options 8; `FieldOptions`: features 21.
fn message_field(message: &str, field: &[u8], delimited: bool) -> Result<(u32, SchemaField), SchemaError> {
    const REPEATED: u64 = 3;
    let name = string(field, 1)?;
    let type_name = string(field, 6)?;
    let type_name = shared(type_name.trim_start_matches('.'));
    let kind = match number(field, 5)? {
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
        11 if is_delimited(field, 8, 21)?.unwrap_or(delimited) => FieldType::Group(type_name),
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
    let field_number = u32::try_from(number(field, 3)?).unwrap_or_default();
    Ok((field_number, SchemaField { name: shared(&name), kind, repeated: number(field, 4)? == REPEATED }))
}

/// Returns true if the options of a file, message or field, at `options`, set the feature `message_encoding` to DELIMITED,
/// false if they set it to another value. `FeatureSet`, at `features` of the options: message_encoding 5.
/// <https://protobuf.dev/editions/features/#message_encoding>
fn is_delimited(descriptor: &[u8], options: u32, features: u32) -> Result<Option<bool>, SchemaError> {
    const DELIMITED: u64 = 2;
    let mut found = None;
    for options in parts(descriptor, options)? {
        for features in parts(options, features)? {
            found = match number(features, 5)? {
                0 => found,
                encoding => Some(encoding == DELIMITED),
            };
        }
    }
    Ok(found)
}

/// Returns the last value of a VARINT field within a message field, or the default 0.
fn number_within(message: &[u8], outer: u32, inner: u32) -> Result<u64, SchemaError> {
    parts(message, outer)?.into_iter().try_fold(0, |last, part| Ok(number(part, inner)?.max(last)))
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
    fn methods_messages_and_enums_are_found_by_full_name() {
        let schema = Schema::from_descriptor_set(&descriptor_set()).unwrap();
        let method = schema.method("/demo.Guide/Get").unwrap();
        assert_eq!((&*method.request, &*method.response), ("demo.Point", "demo.Point.Inner"));
        assert_eq!(method.kind, Some(CallKind::ServerStreaming));
        let latitude = SchemaField { name: "latitude".into(), kind: FieldType::Int32, repeated: false };
        assert_eq!(schema.field("demo.Point", 1), Some(&latitude));
        assert_eq!(schema.field("demo.Point", 2).unwrap().kind, FieldType::Enum("demo.Point.Kind".into()));
        assert_eq!(&*schema.field("demo.Point.Inner", 1).unwrap().name, "text");
        assert_eq!(schema.field("demo.Point", 3), None);
        assert_eq!(schema.enum_value("demo.Point.Kind", 1), Some("CITY"));
        assert!(schema.knows_message("demo.Point.Inner"));
        assert_eq!(schema.method("/demo.Guide/Put"), None);
    }

    #[test]
    fn invalid_descriptor_set_is_an_error_and_never_a_panic() {
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
