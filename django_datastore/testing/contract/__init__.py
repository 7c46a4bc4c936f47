"""AppSync's behaviour as a test suite: for the local server, and for a real AppSync API.

    APPSYNC_CONTRACT_ENDPOINT=https://….appsync-api.eu-west-1.amazonaws.com/graphql APPSYNC_CONTRACT_API_KEY=da2-… \\
        pytest --pyargs django_datastore.testing.contract

The API must have been made of `schema.graphql`, beside this file. The suite needs pytest, httpx, websockets and gql,
and no Django settings. It imports nothing else of this package: what it expects was read in AWS's guide and in
Amplify's clients, not in the server it tests. Each test names its source; where that leaves a doubt, the test says so
and asks for what clients depend on.
"""
