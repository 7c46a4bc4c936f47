/**
 * Amplify's own transformer: what it makes of data models.
 *
 *     node transform.js MODELS.graphql...
 *
 *     stdout   {"MODELS.graphql": {"schema": the API's SDL} | {"error": why it is refused}, ...}
 *
 * Conflict resolution is on, every auth mode is there, API keys are the default; all else is as Amplify has it.
 */
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const { executeTransform } = require("@aws-amplify/graphql-transformer");
const { DDB_DEFAULT_DATASOURCE_STRATEGY, constructDataSourceStrategies } = require("@aws-amplify/graphql-transformer-core");
const {
  defaultTransformParameters,
} = require("@aws-amplify/graphql-transformer-core/lib/transformer-context/transform-parameters");
const { App, NestedStack, Stack } = require("aws-cdk-lib");

const AUTH = {
  defaultAuthentication: { authenticationType: "API_KEY", apiKeyConfig: { apiKeyExpirationDays: 7 } },
  additionalAuthenticationProviders: [
    { authenticationType: "AMAZON_COGNITO_USER_POOLS", userPoolConfig: { userPoolId: "eu-west-1_pool" } },
    { authenticationType: "AWS_IAM" },
    {
      authenticationType: "OPENID_CONNECT",
      openIDConnectConfig: { name: "oidc", issuerUrl: "https://issuer.example", clientId: "app" },
    },
    { authenticationType: "AWS_LAMBDA", lambdaAuthorizerConfig: { lambdaFunction: "authorizer", ttlSeconds: 300 } },
  ],
};
const ASSET = { s3BucketName: "bucket", s3ObjectKey: "key", s3ObjectUrl: "s3://bucket/key", grantRead() {} };

function transform(schema) {
  const scope = new Stack(new App(), "Api");
  executeTransform({
    schema,
    scope,
    authConfig: AUTH,
    synthParameters: { apiName: "api", amplifyEnvironmentName: "test", userPoolId: "eu-west-1_pool" },
    dataSourceStrategies: constructDataSourceStrategies(schema, DDB_DEFAULT_DATASOURCE_STRATEGY),
    resolverConfig: { project: { ConflictDetection: "VERSION", ConflictHandler: "AUTOMERGE" } },
    transformParameters: defaultTransformParameters,
    nestedStackProvider: { provide: (parent, name) => new NestedStack(parent, name) },
    assetProvider: { provide: () => ASSET },
    parameterProvider: { provide: () => undefined },
    printTransformerLog: () => {},
  });
  return scope.node.findAll().map((item) => item.schema?.definition).find(Boolean);
}

function attempt(file) {
  try {
    return { schema: transform(fs.readFileSync(file, "utf8")) };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

console.log = console.info = console.warn = () => {};
const found = process.argv.slice(2).map((file) => [path.basename(file), attempt(file)]);
process.stdout.write(JSON.stringify(Object.fromEntries(found)));
