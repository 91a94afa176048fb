//! Reduces the options of a parsed file to those that decide how bytes are decoded.
//!
//! A custom option, `(google.api.http)` for example, needs the file that declares it, which is often missing. Other options may
//! be newer than the compiler. Of the features of editions, only `message_encoding` changes the wire format of a field.

use prost_types::uninterpreted_option::NamePart;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
};

/// The options that the compiler's checks depend on.
const KEPT: [&str; 2] = ["allow_alias", "message_set_wire_format"];

/// Removes all options of a file but [`KEPT`] and `features.message_encoding`.
pub(super) fn reduce(file: &mut FileDescriptorProto) {
    if let Some(options) = &mut file.options {
        keep_some(&mut options.uninterpreted_option);
    }
    file.message_type.iter_mut().for_each(message);
    file.enum_type.iter_mut().for_each(enumeration);
    file.extension.iter_mut().for_each(field);
    for service in &mut file.service {
        if let Some(options) = &mut service.options {
            keep_some(&mut options.uninterpreted_option);
        }
        for options in service.method.iter_mut().filter_map(|method| method.options.as_mut()) {
            keep_some(&mut options.uninterpreted_option);
        }
    }
}

fn message(message: &mut DescriptorProto) {
    if let Some(options) = &mut message.options {
        keep_some(&mut options.uninterpreted_option);
    }
    message.field.iter_mut().for_each(field);
    message.extension.iter_mut().for_each(field);
    message.nested_type.iter_mut().for_each(self::message);
    message.enum_type.iter_mut().for_each(enumeration);
    for range in &mut message.extension_range {
        // Declarations and verification of extensions.
        range.options = None;
    }
    for options in message.oneof_decl.iter_mut().filter_map(|oneof| oneof.options.as_mut()) {
        keep_some(&mut options.uninterpreted_option);
    }
}

fn field(field: &mut FieldDescriptorProto) {
    if let Some(options) = &mut field.options {
        keep_some(&mut options.uninterpreted_option);
    }
}

fn enumeration(enumeration: &mut EnumDescriptorProto) {
    if let Some(options) = &mut enumeration.options {
        keep_some(&mut options.uninterpreted_option);
    }
    for options in enumeration.value.iter_mut().filter_map(|value| value.options.as_mut()) {
        keep_some(&mut options.uninterpreted_option);
    }
}

fn keep_some(options: &mut Vec<UninterpretedOption>) {
    let encoding = options.iter().rev().find_map(message_encoding);
    options.retain(|option| {
        option.name.first().is_some_and(|part| !part.is_extension && KEPT.contains(&part.name_part.as_str()))
    });
    if let Some(encoding) = encoding {
        let part = |name: &str| NamePart { name_part: name.to_owned(), is_extension: false };
        let name = vec![part("features"), part("message_encoding")];
        options.push(UninterpretedOption { name, identifier_value: Some(encoding), ..UninterpretedOption::default() });
    }
}

/// Returns the value of `features.message_encoding`, also in the form `features = { message_encoding: DELIMITED }`.
fn message_encoding(option: &UninterpretedOption) -> Option<String> {
    let name: Vec<_> = option.name.iter().map(|part| (part.name_part.as_str(), part.is_extension)).collect();
    match *name.as_slice() {
        [("features", false), ("message_encoding", false)] => option.identifier_value.clone(),
        [("features", false)] => {
            let aggregate = option.aggregate_value.as_deref()?;
            let (_, after) = aggregate.split_once("message_encoding")?;
            let value = after.trim_start().trim_start_matches(':').trim_start();
            value.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().map(str::to_owned)
        }
        _ => None,
    }
}
